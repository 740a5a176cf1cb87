import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, readFile, readlink, rm } from "node:fs/promises";
import { join } from "node:path";

/** A directory that nobody else may look into, until it is disposed of. */
export interface WorkDirectory extends AsyncDisposable {
  readonly path: string;
}

// The namespace of its maker's number, that number, and when the maker began.
const NAME = /^\.stowage-work-(?<space>\d+)-(?<pid>\d{1,10})-(?<start>\d+)-[0-9a-f]{16}$/;

/**
 * Makes a directory for what another program has to find by a path, in `TMPDIR` or, unless that is
 * set, where files may be large. Those that processes of this user left there when they were killed
 * go.
 *
 * @throws {@link @stowage/registry#RegistryError} `ERR_REGISTRY_FILE`
 */
export async function openWorkDirectory(
  env: Readonly<Record<string, string | undefined>>,
): Promise<WorkDirectory> {
  const parent = env["TMPDIR"] || "/var/tmp";
  const space = await pidNamespace();
  await removeAbandoned(parent, space);
  const own = `${space}-${process.pid}-${(await startOf(process.pid)) ?? 0}`;
  const path = join(parent, `.stowage-work-${own}-${randomBytes(8).toString("hex")}`);
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    const { RegistryError } = await import("@stowage/registry");
    const why = cause instanceof Error ? cause.message : "it cannot be made";
    throw new RegistryError("ERR_REGISTRY_FILE", `${path}: ${why}`, {
      cause,
      hint: "Name another directory with TMPDIR.",
    });
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function removeAbandoned(parent: string, space: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const maker = NAME.exec(name)?.groups;
    // Who runs in another namespace cannot be seen from here.
    if (maker === undefined || maker["space"] !== space) continue;
    if ((await startOf(Number(maker["pid"]))) === maker["start"]) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    // Another may be at it; what is left then goes the next time.
    await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

async function pidNamespace(): Promise<string> {
  const link = await readlink("/proc/self/ns/pid").catch(() => "");
  return /\d+/.exec(link)?.[0] ?? "0";
}

/** When a process began, in ticks since boot; `undefined` if there is none. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}
