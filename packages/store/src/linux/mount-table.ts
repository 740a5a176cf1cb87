/**
 * The kernel's table of mounts, which is what is true about them.
 *
 * @see https://docs.kernel.org/filesystems/proc.html
 * @module
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";

import { statPath } from "./file-metadata.ts";

/** One mount of this process's mount namespace. */
export interface MountEntry {
  readonly id: number;
  readonly mountPoint: string;
  readonly type: string;
}

/** Reads the table of a process; where mounts lie on one another, the topmost comes last. */
export function readMountTable(pid: number | "self" = "self"): readonly MountEntry[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, "latin1").split("\n");
  return lines.flatMap((line) => parseLine(line) ?? []);
}

/** The mounts at a place, the topmost last. */
export function mountsAt(path: string, pid: number | "self" = "self"): readonly MountEntry[] {
  return readMountTable(pid).filter((entry) => entry.mountPoint === path);
}

/**
 * The kernel's number for the topmost mount at an absolute path, in this process's mount namespace.
 * The table is only read where the kernel can not tell by itself: a line of it names all directories
 * of an overlay, so that reading it takes longer with each container that is mounted.
 */
export function mountIdAt(path: string): number | undefined {
  try {
    const at = statPath(path)?.mountId;
    if (at === undefined) return undefined;
    const above = statPath(dirname(path))?.mountId;
    if (at !== 0n && above !== undefined) return at === above ? undefined : Number(at);
  } catch {
    // What is mounted there may be broken, and is mounted all the same.
  }
  return mountsAt(path).at(-1)?.id;
}

function parseLine(line: string): MountEntry | undefined {
  const [before = "", after = ""] = line.split(" - ");
  const fields = before.split(" ");
  const mountPoint = fields[4];
  if (mountPoint === undefined) return undefined;
  return {
    id: Number(fields[0]),
    mountPoint: unescapePath(mountPoint),
    type: after.split(" ")[0] ?? "",
  };
}

function unescapePath(text: string): string {
  const bytes = text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
