/**
 * Which processes are which, and whether they live.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";

import { hasErrorCode } from "@stowage/content";

/** Neither runs any more, though its parent has not taken notice yet. */
const ENDED = /^[ZXx]$/;

/** Where and when a process has its number. */
export interface ProcessRealm {
  /** Of the machine; empty where the system does not say. */
  readonly boot: string;
  /** The same for processes that see each other by their numbers; 16 hex digits. */
  readonly realm: string;
}

let own: Promise<ProcessRealm> | undefined;

/** That of this process. */
export function ownRealm(): Promise<ProcessRealm> {
  return (own ??= (async () => {
    const [boot = "", ...spaces] = await Promise.all(
      [
        readFile("/proc/sys/kernel/random/boot_id", "utf8"),
        readlink("/proc/self/ns/pid"),
        // The same process began at another time where the clock is another.
        readlink("/proc/self/ns/time"),
      ].map((part) => part.catch(() => "")),
    );
    const text = [boot, ...spaces].join(" ");
    const realm = createHash("sha256").update(text).digest("hex").slice(0, 16);
    return { boot: boot.trim(), realm };
  })());
}

/**
 * When a process began, in ticks since boot: tells a number that is in use again. Empty where the
 * system does not say; Linux alone does.
 */
export async function startTimeOf(pid: number): Promise<string> {
  return (await readState(pid))?.start ?? "";
}

/**
 * Whether a process may still run. Whoever can not be looked at is taken to.
 *
 * @param start - As {@link startTimeOf} told it; empty if it did not.
 */
export async function isAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (hasErrorCode(error, "ESRCH")) return false;
  }
  const now = await readState(pid);
  if (now === undefined) return true;
  return !ENDED.test(now.state) && (start === "" || now.start === start);
}

async function readState(
  pid: number,
): Promise<{ readonly state: string; readonly start: string } | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name of the program may have anything in it.
    const [state = "", ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state, start: fields[18] ?? "" };
  } catch {
    return undefined;
  }
}
