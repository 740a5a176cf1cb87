/**
 * The kernel's table of mounts, which is what is true about them.
 *
 * @see https://docs.kernel.org/filesystems/proc.html
 * @module
 */
import { readFileSync } from "node:fs";

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
