/**
 * Files on their way to a place beside them, and what becomes of them when their process is killed.
 *
 * The name of such a file says whose it is: the boot and the namespaces in which a process has its
 * number, that number, and when the process began, so that a number that is in use again is not
 * taken for it.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { lstat, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";

import { isAlive, ownRealm, startTimeOf } from "./living-process.ts";

const NAME = /^\.stowage-([0-9a-f]{16})-(\d{1,10})-(\d{1,20})-[0-9a-f]{16}\.partial$/;

/**
 * Whether the process of another boot, container or machine lives cannot be told from here. What it
 * has not touched for so long, though whoever copies writes all the time, is nobody's any more.
 */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

/** A name in `directory` for a file of this process that no other has. */
export async function partialPath(directory: string): Promise<string> {
  const { realm, start } = await whoIsThis();
  const random = randomBytes(8).toString("hex");
  return join(directory, `.stowage-${realm}-${process.pid}-${start || "0"}-${random}.partial`);
}

/** Whether {@link partialPath} gives such names. */
export function isPartialName(name: string): boolean {
  return NAME.test(name);
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

async function whoIsThis(): Promise<{ readonly realm: string; readonly start: string }> {
  const { realm } = await ownRealm();
  return { realm, start: await startTimeOf(process.pid) };
}
