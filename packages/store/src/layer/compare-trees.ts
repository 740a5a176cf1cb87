/**
 * Compares two trees entry by entry, and stops at the first that differs.
 *
 * @module
 */
import { readSync } from "node:fs";

import { isWhiteout } from "./entry-metadata.ts";
import { closeDescriptor, OPEN, readLinkAt, tryOpenAt } from "../linux/file-calls.ts";
import { FILE_TYPE, type FileStat } from "../linux/file-metadata.ts";
import { cString, systemError } from "../linux/libc.ts";
import { TreeDescent } from "../linux/walk-tree.ts";
import { getXattrAt, listXattrsAt } from "../linux/xattr.ts";

/** What of an entry is not as it should be. */
export type TreeAspect =
  | "content"
  | "device"
  | "extra"
  | "hard links"
  | "link target"
  | "missing"
  | "mode"
  | "mtime"
  | "owner"
  | "size"
  | "type"
  | "unreadable"
  | "xattrs";

/**
 * The first entry that differs, names by their bytes. Directories go before what is in them, and
 * their times after.
 */
export interface TreeDifference {
  /** From the root, one character for each byte; empty for the root itself. */
  readonly path: string;
  readonly aspect: TreeAspect;
}

const CHUNK_BYTES = 1024 * 1024;
const ITSELF = cString("");
const PERMISSIONS = 0o7777;

/**
 * @param unknown - Directories of which nothing is known but that they are there, by their paths.
 * @param pause - Is called at each entry and each chunk of content; what it throws ends it.
 */
export function compareTrees(
  expectedRoot: string,
  actualRoot: string,
  unknown: ReadonlySet<string>,
  pause: () => void,
): TreeDifference | undefined {
  return new Comparison(expectedRoot, actualRoot, unknown, pause).run();
}

class Comparison {
  readonly #expectedRoot: string;
  readonly #actualRoot: string;
  readonly #unknown: ReadonlySet<string>;
  readonly #pause: () => void;
  readonly #buffers = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
  /** The first paths of files with several names, by their inodes. */
  readonly #linked = [new Map<bigint, string>(), new Map<bigint, string>()] as const;

  constructor(
    expectedRoot: string,
    actualRoot: string,
    unknown: ReadonlySet<string>,
    pause: () => void,
  ) {
    this.#unknown = unknown;
    this.#expectedRoot = expectedRoot;
    this.#actualRoot = actualRoot;
    this.#pause = pause;
  }

  run(): TreeDifference | undefined {
    using expected = new TreeDescent(this.#expectedRoot);
    using actual = new TreeDescent(this.#actualRoot);
    return (
      this.#compareEntry(expected, actual, ITSELF, "") ??
      this.#compareBelow(expected, actual, "") ??
      this.#compareTimes(expected.stat(), actual.stat(), "")
    );
  }

  #compareBelow(
    expected: TreeDescent,
    actual: TreeDescent,
    path: string,
  ): TreeDifference | undefined {
    const wanted = expected.names();
    const found = actual.names();
    for (let one = 0, other = 0; one < wanted.length || other < found.length;) {
      const [left, right] = [wanted[one], found[other]];
      const order = left && right ? Buffer.compare(left, right) : left ? -1 : 1;
      const name = (order <= 0 ? left : right) ?? ITSELF;
      const text = Buffer.from(name.subarray(0, -1)).toString("latin1");
      const below = path === "" ? text : `${path}/${text}`;
      if (order !== 0) return { path: below, aspect: order < 0 ? "missing" : "extra" };
      const difference =
        this.#compareEntry(expected, actual, name, below) ??
        this.#compareDirectory(expected, actual, name, below);
      if (difference !== undefined) return difference;
      one += 1;
      other += 1;
    }
    return undefined;
  }

  #compareDirectory(
    expected: TreeDescent,
    actual: TreeDescent,
    name: Uint8Array,
    path: string,
  ): TreeDifference | undefined {
    const stat = expected.stat(name);
    if (stat === undefined || typeOf(stat) !== FILE_TYPE.directory) return undefined;
    if (!expected.enter(name)) throw new Error(`${path}: vanished while it was compared`);
    if (!actual.enter(name)) return { path, aspect: "missing" };
    // What is missing from a directory, or is too much in it, says more than its time.
    const difference =
      this.#compareBelow(expected, actual, path) ??
      this.#compareTimes(expected.stat(), actual.stat(), path);
    expected.leave();
    actual.leave();
    return difference;
  }

  #compareEntry(
    expected: TreeDescent,
    actual: TreeDescent,
    name: Uint8Array,
    path: string,
  ): TreeDifference | undefined {
    this.#pause();
    const differs = (aspect: TreeAspect): TreeDifference => ({ path, aspect });
    const [one, other] = [expected.stat(name), actual.stat(name)];
    if (one === undefined || other === undefined) return differs("missing");
    if (typeOf(one) !== typeOf(other)) return differs("type");
    if (this.#unknown.has(path)) return undefined;
    if (one.deviceMajor !== other.deviceMajor || one.deviceMinor !== other.deviceMinor) {
      return differs("device");
    }
    if ((one.mode & PERMISSIONS) !== (other.mode & PERMISSIONS)) return differs("mode");
    if (one.uid !== other.uid || one.gid !== other.gid) return differs("owner");
    const isFile = typeOf(one) === FILE_TYPE.regular;
    if (isFile && one.size !== other.size) return differs("size");
    const fds = [expected.descriptor(), actual.descriptor()] as const;
    if (fds[0] === undefined || fds[1] === undefined) return differs("missing");
    if (typeOf(one) === FILE_TYPE.symlink) {
      const [target, found] = fds.map((fd) => readLinkAt(fd ?? -1, name));
      if (target === undefined || found === undefined || !target.equals(found)) {
        return differs("link target");
      }
    }
    if (!this.#isLinkedAlike(one, other, path)) return differs("hard links");
    if (xattrsOf(fds[0], name) !== xattrsOf(fds[1], name)) return differs("xattrs");
    const content = isFile ? this.#compareContent(fds[0], fds[1], name) : undefined;
    if (content !== undefined) return differs(content);
    return typeOf(one) === FILE_TYPE.directory ? undefined : this.#compareTimes(one, other, path);
  }

  #compareTimes(
    expected: FileStat | undefined,
    actual: FileStat | undefined,
    path: string,
  ): TreeDifference | undefined {
    // A whiteout has the time at which it was made.
    const isSame = expected?.mtime === actual?.mtime || isWhiteout(expected);
    return isSame || this.#unknown.has(path) ? undefined : { path, aspect: "mtime" };
  }

  #isLinkedAlike(one: FileStat, other: FileStat, path: string): boolean {
    if (typeOf(one) === FILE_TYPE.directory) return true;
    const firsts = [one, other].map((stat, tree) => {
      const linked = this.#linked[tree === 0 ? 0 : 1];
      const first = linked.get(stat.inode) ?? path;
      if (stat.nlink > 1) linked.set(stat.inode, first);
      return first;
    });
    return firsts[0] === firsts[1];
  }

  #compareContent(
    expected: number,
    actual: number,
    name: Uint8Array,
  ): "content" | "unreadable" | undefined {
    const flags = OPEN.readOnly | OPEN.nonBlock;
    const [one, other] = [tryOpenAt(expected, name, flags), tryOpenAt(actual, name, flags)];
    try {
      if (one < 0) throw systemError("openat", name.subarray(0, -1), -one);
      if (other < 0) return "unreadable";
      for (;;) {
        this.#pause();
        const wanted = fill(one, this.#buffers[0]);
        const found = tryFill(other, this.#buffers[1]);
        if (found === undefined) return "unreadable";
        if (!wanted.equals(found)) return "content";
        if (wanted.length < CHUNK_BYTES) return undefined;
      }
    } finally {
      if (one >= 0) closeDescriptor(one);
      if (other >= 0) closeDescriptor(other);
    }
  }
}

function typeOf(stat: FileStat): number {
  return stat.mode & FILE_TYPE.mask;
}

function xattrsOf(fd: number, name: Uint8Array): string {
  const names = listXattrsAt(fd, name).toSorted(Buffer.compare);
  return names
    .map((attribute) => {
      const value = getXattrAt(fd, name, attribute);
      return `${attribute.toString("hex")}=${value?.toString("hex") ?? ""}`;
    })
    .join(" ");
}

function fill(fd: number, buffer: Buffer): Buffer {
  let filled = 0;
  while (filled < buffer.length) {
    const read = readSync(fd, buffer, filled, buffer.length - filled, null);
    if (read === 0) break;
    filled += read;
  }
  return buffer.subarray(0, filled);
}

/** A disk that can not read something has lost it. */
function tryFill(fd: number, buffer: Buffer): Buffer | undefined {
  try {
    return fill(fd, buffer);
  } catch {
    return undefined;
  }
}
