/**
 * Reads trees that others may be changing, by descriptors: as deep as they may be, never across a
 * mount, and never by way of a link.
 *
 * @module
 */
import { readdirSync } from "node:fs";

import { AT_CWD, closeDescriptor, OPEN, RESOLVE, tryOpenBeneath } from "./file-calls.ts";
import { FILE_TYPE, type FileStat, statAt } from "./file-metadata.ts";
import { cString, errnoOf, systemError } from "./libc.ts";

/** One name of a tree. */
export interface WalkedEntry {
  /** From the root, one character for each byte; empty for the root itself. */
  readonly path: string;
  readonly stat: FileStat;
}

const MAX_HELD = 64;
const ITSELF = cString("");
const GONE: readonly string[] = ["ENOENT", "ENOTDIR", "ELOOP", "EXDEV"];

/**
 * Where somebody is in a tree. Of the directories above only the nearest are held open; the others
 * are opened again on the way back.
 */
export class TreeDescent implements Disposable {
  readonly #names: Buffer[] = [];
  readonly #open = new Map<number, number>();

  /** @throws {@link SystemError} When the root is no directory. */
  constructor(root: string) {
    const fd = tryOpenBeneath(
      AT_CWD,
      cString(root),
      OPEN.path | OPEN.directory | OPEN.noFollow,
      RESOLVE.noMagicLinks,
    );
    if (fd < 0) throw systemError("openat2", root, -fd);
    this.#open.set(0, fd);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeDescriptor(fd);
    this.#open.clear();
  }

  get depth(): number {
    return this.#names.length;
  }

  /** The directory, open as a path; `undefined` when it is gone. */
  descriptor(): number | undefined {
    return this.#descriptorAt(this.depth);
  }

  /** Goes into a directory of this one; answers whether there is one. */
  enter(name: Uint8Array): boolean {
    const here = this.descriptor();
    if (here === undefined) return false;
    const fd = openChild(here, name);
    if (fd === undefined) return false;
    this.#names.push(Buffer.from(name));
    this.#open.set(this.depth, fd);
    const farthest = this.depth - MAX_HELD;
    if (farthest > 0) this.#close(farthest);
    return true;
  }

  leave(): void {
    this.#close(this.depth);
    this.#names.pop();
  }

  /** The names in the directory, sorted by their bytes and ended by NUL. */
  names(): readonly Buffer[] {
    const fd = this.descriptor();
    if (fd === undefined) return [];
    const names = readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" });
    return names.toSorted(Buffer.compare).map((name) => cString(name));
  }

  /** What a name is, or the directory itself if the name is empty. */
  stat(name: Uint8Array = ITSELF): FileStat | undefined {
    const fd = this.descriptor();
    return fd === undefined ? undefined : statAt(fd, name);
  }

  #descriptorAt(level: number): number | undefined {
    let from = level;
    while (from > 0 && !this.#open.has(from)) from -= 1;
    for (; from < level; from += 1) {
      const above = this.#open.get(from);
      const name = this.#names[from];
      const fd = above === undefined || name === undefined ? undefined : openChild(above, name);
      // Those farther up are needed once; the nearer ones on the way back.
      if (from > 0 && from <= level - MAX_HELD / 2) this.#close(from);
      if (fd === undefined) return undefined;
      this.#open.set(from + 1, fd);
    }
    return this.#open.get(level);
  }

  #close(level: number): void {
    const fd = this.#open.get(level);
    if (fd !== undefined) closeDescriptor(fd);
    this.#open.delete(level);
  }
}

/** Yields a directory before what is in it, names by their bytes. What vanishes is left out. */
export function* walkTree(root: string): Generator<WalkedEntry, void, undefined> {
  using descent = new TreeDescent(root);
  const top = descent.stat();
  if (top === undefined) return;
  yield { path: "", stat: top };
  const levels = [{ path: "", names: descent.names()[Symbol.iterator]() }];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const next = level.names.next();
    if (next.done) {
      levels.pop();
      if (levels.length > 0) descent.leave();
      continue;
    }
    const name = next.value;
    const stat = descent.stat(name);
    if (stat === undefined) continue;
    const text = name.toString("latin1", 0, name.length - 1);
    const path = level.path === "" ? text : `${level.path}/${text}`;
    yield { path, stat };
    if ((stat.mode & FILE_TYPE.mask) !== FILE_TYPE.directory || stat.mountId !== top.mountId) {
      continue;
    }
    if (descent.enter(name)) levels.push({ path, names: descent.names()[Symbol.iterator]() });
  }
}

function openChild(fd: number, name: Uint8Array): number | undefined {
  const resolve = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noXdev;
  const child = tryOpenBeneath(fd, name, OPEN.path | OPEN.directory | OPEN.noFollow, resolve);
  if (child >= 0) return child;
  if (GONE.some((code) => errnoOf(code) === -child)) return undefined;
  throw systemError("openat2", name.subarray(0, -1), -child);
}
