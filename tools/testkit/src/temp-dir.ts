import { execFile } from "node:child_process";
import { mkdtemp, readFile, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A directory that goes when its scope ends. */
export interface TempDir extends AsyncDisposable {
  /** Absolute, with no symbolic link in it. */
  readonly path: string;
}

/**
 * Makes a directory that goes when its scope ends, however deep it has become and whoever may write
 * in it. What is still mounted in it is never emptied: the disposal fails then, naming it.
 */
export async function tempDir(prefix = "stowage-test-"): Promise<TempDir> {
  const path = await realpath(await mkdtemp(join(tmpdir(), prefix)));
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}

async function removeTree(path: string): Promise<void> {
  const mounted = await mountsBelow(path);
  if (mounted.length > 0) throw new Error(`still mounted: ${mounted.join(", ")}`);
  // Node removes by whole paths, which end at 4096 bytes; these two walk from directory to directory.
  try {
    await run("rm", ["-rf", "--", path]);
  } catch {
    await run("chmod", ["-R", "u+rwX", "--", path]);
    await run("rm", ["-rf", "--", path]);
  }
}

async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  return table
    .split("\n")
    .map((line) => (line.split(" ")[4] ?? "").replaceAll(/\\([0-7]{3})/g, fromOctal))
    .filter((point) => point === path || point.startsWith(`${path}/`));
}

function fromOctal(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8));
}
