import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

import { getXattrAt, listXattrsAt } from "../../src/linux/xattr.ts";

/** How a tree is described. */
export interface SnapshotOptions {
  /** With the inode and its change time, which tell of any touch. */
  readonly touches?: boolean;
  /** Attributes whose names begin so are left out. */
  readonly withoutXattrs?: string;
}

/** Each path of a tree, one character for each byte, with all that can be told about it. */
export function snapshotTree(
  root: string,
  options: SnapshotOptions = {},
): Readonly<Record<string, string>> {
  const lines: Record<string, string> = {};
  const firstOfInode = new Map<bigint, string>();
  const visit = (relative: Buffer): void => {
    const path = Buffer.concat([Buffer.from(`${root}/`), relative]);
    const key = relative.toString("latin1");
    const stat = lstatSync(path, { bigint: true });
    const isFile = stat.isFile();
    const first = firstOfInode.get(stat.ino) ?? key;
    firstOfInode.set(stat.ino, first);
    lines[key] = [
      stat.mode.toString(8),
      `${stat.uid}:${stat.gid}`,
      `mtime ${stat.mtimeNs}`,
      `dev ${stat.rdev}`,
      stat.isDirectory() ? "" : `links ${stat.nlink} as ${first} size ${stat.size}`,
      stat.isSymbolicLink() ? readlinkSync(path, "latin1") : "",
      isFile ? createHash("sha256").update(readFileSync(path)).digest("hex") : "",
      xattrsOf(path, options.withoutXattrs),
      options.touches ? `ctime ${stat.ctimeNs} ino ${stat.ino}` : "",
    ].join(" | ");
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(path, { encoding: "buffer" }).toSorted(Buffer.compare)) {
      visit(relative.length === 0 ? name : Buffer.concat([relative, Buffer.from("/"), name]));
    }
  };
  visit(Buffer.alloc(0));
  return lines;
}

function xattrsOf(path: Buffer, without: string | undefined): string {
  const slash = path.lastIndexOf("/");
  const directory = openSync(path.subarray(0, slash + 1), 0o200000);
  try {
    const name = Buffer.concat([path.subarray(slash + 1), Buffer.alloc(1)]);
    return listXattrsAt(directory, name)
      .filter((attribute) => without === undefined || !attribute.toString().startsWith(without))
      .toSorted(Buffer.compare)
      .map((attribute) => {
        const value = getXattrAt(directory, name, attribute);
        return `${attribute.toString("latin1")}=${value?.toString("hex")}`;
      })
      .join(",");
  } finally {
    closeSync(directory);
  }
}
