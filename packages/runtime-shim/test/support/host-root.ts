import { execFileSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** The host's own shell and the libraries that it needs, as paths: enough for a container. */
export function shellFiles(...commands: readonly string[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const command of ["/bin/sh", ...commands]) {
    files.set(command, command);
    const text = execFileSync("ldd", [command], { encoding: "utf8" });
    for (const [library] of text.matchAll(/\/\S+/g)) files.set(library, library);
  }
  return files;
}

/** A directory that goes when its scope ends. */
export async function createScratch(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "stowage-shim-")));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** A root file system with a shell in it, made of the host's own files. */
export async function writeHostRoot(root: string, ...commands: readonly string[]): Promise<void> {
  for (const [path, source] of shellFiles(...commands)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await copyFile(source, join(root, path));
  }
  await mkdir(join(root, "etc"), { recursive: true });
}
