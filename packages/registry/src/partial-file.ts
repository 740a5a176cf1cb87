/**
 * Files on their way to a place beside them, and what becomes of them when their process is killed.
 *
 * The name of such a file says whose it is: the boot and the namespaces in which a process has its
 * number, that number, and when the process began, so that a number that is in use again is not
 * taken for it.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { lstat, readdir, readFile, readlink, unlink } from "node:fs/promises";
import { join } from "node:path";

import { isAlive, startTimeOf } from "./living-process.ts";

const NAME = /^\.stowage-([0-9a-f]{16})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}\.partial$/;

/**
 * Whether the process of another boot, container or machine lives cannot be told from here. What it
 * has not touched for so long, though whoever copies writes all the time, is nobody's any more.
 */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

let known: Promise<{ readonly realm: string; readonly start: string }> | undefined;

/** A name in `directory` for a file of this process that no other has. */
export async function partialPath(directory: string): Promise<string> {
  const { realm, start } = await whoIsThis();
  const random = randomBytes(8).toString("hex");
  return join(directory, `.stowage-${realm}-${process.pid}-${start || "0"}-${random}.partial`);
}

/**
 * Removes from `directory` the partial files of processes that are gone, and none of those that
 * live. Never fails: what stays is in nobody's way.
 */
export async function removeDeadPartials(directory: string): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch {
    return;
  }
  for (const name of names) {
    const [, realm, pid, start] = NAME.exec(name) ?? [];
    if (realm === undefined || pid === undefined || start === undefined) continue;
    const path = join(directory, name);
    try {
      if (await isDead(path, { realm, pid: Number(pid), start })) await unlink(path);
    } catch {
      // Another copy has removed it, or it may not be removed by us.
    }
  }
}

interface Owner {
  readonly realm: string;
  readonly pid: number;
  readonly start: string;
}

async function isDead(path: string, { realm, pid, start }: Owner): Promise<boolean> {
  const own = await whoIsThis();
  if (own.start !== "" && realm === own.realm && start !== "0") return !(await isAlive(pid, start));
  return Date.now() - (await lstat(path)).mtimeMs > MAX_AGE_MS;
}

function whoIsThis(): Promise<{ readonly realm: string; readonly start: string }> {
  return (known ??= (async () => {
    const parts = [
      readFile("/proc/sys/kernel/random/boot_id", "utf8"),
      readlink("/proc/self/ns/pid"),
      // The same process began at another time where the clock is another.
      readlink("/proc/self/ns/time"),
    ].map((part) => part.catch(() => ""));
    const text = (await Promise.all(parts)).join(" ");
    const realm = createHash("sha256").update(text).digest("hex").slice(0, 16);
    return { realm, start: await startTimeOf(process.pid) };
  })());
}
