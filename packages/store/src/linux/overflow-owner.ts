import { readFileSync } from "node:fs";

// What all kernels begin with, where it can not be read.
const DEFAULT = 65_534;

let overflow: { readonly uid: number; readonly gid: number } | undefined;

/** As whose all files are shown whose owners the user namespace of this process does not have. */
export function overflowOwner(): { readonly uid: number; readonly gid: number } {
  return (overflow ??= { uid: readID("overflowuid"), gid: readID("overflowgid") });
}

function readID(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/kernel/${name}`, "latin1"));
  } catch {
    return DEFAULT;
  }
}
