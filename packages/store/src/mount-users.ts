import { readdirSync, readlinkSync } from "node:fs";
import { isAbsolute, relative } from "node:path";

import { mountsAt } from "./linux/mount-table.ts";

const MAX_NAMED = 5;

/** Processes that are seen to use a directory, as text for a message. */
export function describeUsers(path: string): string {
  const pids = processes().filter((pid) => usesDirectory(pid, path));
  if (pids.length === 0) return "something that is not visible from here";
  const named = pids.slice(0, MAX_NAMED).join(", ");
  return `process ${named}${pids.length > MAX_NAMED ? ", …" : ""}`;
}

/** A process of another mount namespace, called `namespace`, that has something mounted there. */
export function findMountElsewhere(namespace: string, path: string): number | undefined {
  if (namespace === mountNamespace()) return undefined;
  return processes().find((pid) => {
    try {
      return mountNamespace(pid) === namespace && mountsAt(path, pid).length > 0;
    } catch {
      // It has ended, or is none of our business.
      return false;
    }
  });
}

/** What the kernel calls the mount namespace of a process. */
export function mountNamespace(pid: number | "self" = "self"): string {
  return readlinkSync(`/proc/${pid}/ns/mnt`);
}

function processes(): readonly number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
}

function usesDirectory(pid: number, path: string): boolean {
  const isInside = (link: string): boolean => {
    try {
      const target = readlinkSync(`/proc/${pid}/${link}`);
      return isWithin(target, path);
    } catch {
      return false;
    }
  };
  if (isInside("cwd") || isInside("root") || isInside("exe")) return true;
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => isInside(`fd/${fd}`));
  } catch {
    return false;
  }
}

function isWithin(path: string, directory: string): boolean {
  return isAbsolute(path) && relative(directory, path).split("/")[0] !== "..";
}
