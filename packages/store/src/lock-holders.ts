/**
 * Tells who holds a lock, for the message of whoever gave up waiting for it.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

import { escapeText } from "@stowage/content";

const MAX_NAMED = 5;
const MAX_OWNER_BYTES = 512;

/** The processes that hold a lock on a file, each with what it is and, if it is known, since when. */
export function describeHolders(path: string): string {
  const owner = readOwner(path);
  const pids = processes().filter((pid) => holdsLock(pid, path));
  if (pids.length === 0) {
    return owner === undefined
      ? "a process that is not visible from here"
      : `process ${owner.pid} (${escapeText(owner.command, 80)}) since ${escapeText(owner.since, 40)}`;
  }
  const named = pids.slice(0, MAX_NAMED).map((pid) => {
    const since = owner?.pid === pid ? ` since ${escapeText(owner.since, 40)}` : "";
    return `process ${pid} (${commandOf(pid)})${since}`;
  });
  return `${named.join(", ")}${pids.length > MAX_NAMED ? ", …" : ""}`;
}

interface Owner {
  readonly pid: number;
  readonly command: string;
  readonly since: string;
}

/** What the last to hold it alone has written into it. */
function readOwner(path: string): Owner | undefined {
  try {
    const text = readFileSync(path, "utf8").slice(0, MAX_OWNER_BYTES);
    const { pid, command, since } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (typeof pid !== "number" || typeof command !== "string") return undefined;
    return typeof since === "string" ? { pid, command, since } : undefined;
  } catch {
    return undefined;
  }
}

function processes(): readonly number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
}

/** The kernel's word: which of a process's descriptors have a lock. */
function holdsLock(pid: number, path: string): boolean {
  return descriptorsOf(pid).some((fd) => {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== path) return false;
      return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1").includes("\nlock:");
    } catch {
      // It has been closed.
      return false;
    }
  });
}

function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    // It has ended, or belongs to somebody else.
    return [];
  }
}

/** Its program and the script that it runs; further arguments are nobody's business. */
function commandOf(pid: number): string {
  try {
    const [program = "", ...words] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    const script = words.find((word) => word !== "" && !word.startsWith("-"));
    return escapeText(
      [program, script ?? ""]
        .map((word) => basename(word))
        .join(" ")
        .trim(),
      80,
    );
  } catch {
    return "ended";
  }
}
