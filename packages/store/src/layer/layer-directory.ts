/**
 * The directory that a layer is unpacked into, and the directories in it.
 *
 * Every directory is reached from the root by descriptors, one component at a time or by a call that
 * the kernel keeps below the root, so that no link of the layer leads out of it.
 *
 * @module
 */
import {
  closeDescriptor,
  OPEN,
  readLinkAt,
  RESOLVE,
  AT_CWD,
  tryMakeDirectoryAt,
  tryOpenAt,
  tryOpenBeneath,
  tryUnlinkAt,
} from "../linux/file-calls.ts";
import { FILE_TYPE, statAt } from "../linux/file-metadata.ts";
import { cString, errnoOf } from "../linux/libc.ts";
import { removeTreeAt } from "../linux/tree.ts";
import { DirectoryDescriber, impliedMetadata, USUAL_MODE } from "./describe-directories.ts";
import {
  dropAccessLists,
  type EntryMetadata,
  isWhiteout,
  makeOpaque,
  nameBytes,
  type OpenDirectory,
} from "./entry-metadata.ts";
import { HiddenNames } from "./hidden-names.ts";
import { entryError, failedWith, invalidEntry } from "./layer-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import { OpenDirectories } from "./open-directories.ts";
import { isTooDeep } from "./safe-path.ts";

const MAX_LINKS = 40;
const DIRECTORY_FLAGS = OPEN.path | OPEN.directory;

/** A layer's directory, with what is known about the directories below it. */
export class LayerDirectory implements Disposable {
  readonly #root: OpenDirectory;
  readonly #maxPathBytes: number;
  readonly #maxDepth: number;
  readonly #maxHeldXattrBytes: number;
  readonly #open = new OpenDirectories();
  readonly #metadata = new Map<string, EntryMetadata | undefined>();
  readonly #below = new HiddenNames();
  #heldXattrBytes = 0;
  #newest = 0n;

  /** @param path - Of an empty directory that only this process can reach. */
  constructor(path: string, limits: LayerLimits) {
    const fd = tryOpenBeneath(AT_CWD, cString(path), DIRECTORY_FLAGS, 0);
    if (fd < 0) throw entryError("openat2", path, -fd);
    this.#root = { fd, path: "" };
    dropAccessLists(this.#root);
    this.#maxPathBytes = limits.maxPathBytes - Buffer.byteLength(path) - 2;
    this.#maxDepth = limits.maxDepth;
    this.#maxHeldXattrBytes = limits.maxHeaderBytes * 16;
    this.#metadata.set("", undefined);
  }

  [Symbol.dispose](): void {
    this.#open[Symbol.dispose]();
    closeDescriptor(this.#root.fd);
  }

  /**
   * Opens a directory, by way of links in the layer, and makes what is missing. It stays open until
   * something is taken away or many others have been asked for.
   */
  open(path: string): OpenDirectory {
    const known = this.#recall(path);
    if (known) return known;
    const isMade = this.#metadata.has(path);
    return this.#keep(path, (isMade ? this.#openPlain(path) : undefined) ?? this.#enter(path));
  }

  /** As {@link open}, but makes nothing: `undefined` when there is no such directory. */
  find(path: string): OpenDirectory | undefined {
    const known = this.#recall(path);
    if (known) return known;
    const found = this.#openPlain(path) ?? this.#walk(path, false);
    return found && this.#keep(path, found);
  }

  /** Makes a directory whose metadata the archive has, or gives it to the one that is there. */
  make(parent: OpenDirectory, name: string, metadata: EntryMetadata): void {
    const path = this.pathOf(parent, name);
    this.#makeAt(parent, name, path);
    this.#remember(path, metadata);
  }

  /** Gives the root of the layer its metadata. */
  describeRoot(metadata: EntryMetadata): void {
    this.#remember("", metadata);
  }

  /**
   * Takes away what `parent` has under a name, so that something else can have it. Of the open
   * directories only `parent` and `alsoKept` stay open, until the next time.
   */
  clear(parent: OpenDirectory, name: string, alsoKept?: OpenDirectory): void {
    const unlinked = tryUnlinkAt(parent.fd, nameBytes(name));
    if (unlinked === 0) {
      // It may have been a link that open directories were reached by.
      this.#open.forget(parent, alsoKept);
      return;
    }
    if (failedWith(unlinked, "ENOENT")) return;
    this.#open.forget(parent, alsoKept);
    removeTreeAt(parent.fd, nameBytes(name));
  }

  /** Notes that a name of the layers below is hidden: a directory of this name will be opaque. */
  hide(parent: OpenDirectory, name: string): void {
    this.#below.hide(this.pathOf(parent, name));
  }

  /** Makes a directory show nothing of the layers below. */
  makeOpaque(directory: OpenDirectory): void {
    makeOpaque(directory);
    this.#below.addOpaque(directory.path);
  }

  /** The path of a name in a directory, which is not longer than the kernel can take. */
  pathOf(parent: OpenDirectory, name: string): string {
    const path = parent.path === "" ? name : `${parent.path}/${name}`;
    if (path.length > this.#maxPathBytes) throw invalidEntry(path, "the path is too long");
    if (isTooDeep(path, this.#maxDepth)) throw invalidEntry(path, "the path is too deep");
    return path;
  }

  /** Notes a time of the layer; directories that the archive has not get the newest. */
  noteTime(mtime: bigint): void {
    if (mtime > this.#newest) this.#newest = mtime;
  }

  /**
   * Gives all directories their metadata, the deepest first, and forgets them.
   *
   * @returns The paths of those that the archive does not have, and that the layers below may have, as
   *   bytes.
   */
  finish(): Buffer[] {
    const implied: Buffer[] = [];
    const unsaid = impliedMetadata(this.#newest);
    const describer = new DirectoryDescriber();
    const paths = [...this.#metadata.keys()].toSorted().toReversed();
    for (const path of paths) {
      const directory = path === "" ? this.#root : this.#openPlain(path);
      if (directory === undefined) continue;
      try {
        const metadata = this.#metadata.get(path);
        const isImplied = metadata === undefined && this.#below.shows(path);
        if (isImplied) implied.push(Buffer.from(path, "latin1"));
        describer.describe(directory, metadata ?? unsaid);
      } finally {
        if (directory !== this.#root) closeDescriptor(directory.fd);
      }
    }
    return implied.toReversed();
  }

  #recall(path: string): OpenDirectory | undefined {
    return path === "" ? this.#root : this.#open.find(path);
  }

  #keep(path: string, opened: OpenDirectory): OpenDirectory {
    return opened === this.#root ? opened : this.#open.keep(path, opened);
  }

  #remember(path: string, metadata: EntryMetadata | undefined): void {
    for (const { name, value } of metadata?.xattrs ?? []) {
      this.#heldXattrBytes += name.length + value.length;
    }
    if (this.#heldXattrBytes > this.#maxHeldXattrBytes) {
      throw invalidEntry(path, "the attributes of the directories are too many");
    }
    this.#metadata.set(path, metadata);
  }

  /** The common case: all components are there, and none is a link. */
  #openPlain(path: string): OpenDirectory | undefined {
    const resolve = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagicLinks | RESOLVE.noXdev;
    const fd = tryOpenBeneath(this.#root.fd, nameBytes(path), DIRECTORY_FLAGS, resolve);
    if (fd >= 0) return { fd, path };
    const isExpected = ["ENOENT", "ENOTDIR", "ELOOP", "ENOSYS", "EPERM"].some((code) =>
      failedWith(fd, code),
    );
    if (isExpected) return undefined;
    throw entryError("openat2", path, -fd);
  }

  /** Makes the last component of a path, and before it those above, where nothing is there yet. */
  #enter(path: string): OpenDirectory {
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const parent = this.open(path.slice(0, Math.max(slash, 0)));
    const own = this.pathOf(parent, name);
    if (this.#tryMakeAt(parent, name, own)) {
      this.#metadata.set(own, undefined);
      return this.#openAt(parent, name, own);
    }
    const isLink = readLinkAt(parent.fd, nameBytes(name)) !== undefined;
    return isLink ? this.#walk(path, true) : this.#step(parent, name, true);
  }

  /** One component at a time, following links within the root as a process in the root would. */
  #walk(path: string, make: true): OpenDirectory;
  #walk(path: string, make: boolean): OpenDirectory | undefined;
  #walk(path: string, make: boolean): OpenDirectory | undefined {
    const pending = path.split("/").toReversed();
    const stack: OpenDirectory[] = [this.#root];
    let links = 0;
    try {
      while (pending.length > 0) {
        const component = pending.pop() ?? "";
        if (component === "" || component === ".") continue;
        if (component === "..") {
          const left = stack.length > 1 ? stack.pop() : undefined;
          if (left) closeDescriptor(left.fd);
          continue;
        }
        const here = stack.at(-1) ?? this.#root;
        const target = readLinkAt(here.fd, nameBytes(component));
        if (target) {
          links += 1;
          if (links > MAX_LINKS) throw invalidEntry(path, "too many symbolic links");
          const text = target.toString("latin1");
          if (text.startsWith("/")) {
            for (const left of stack.splice(1)) closeDescriptor(left.fd);
          }
          pending.push(...text.split("/").toReversed());
          continue;
        }
        const next = this.#step(here, component, make);
        if (next === undefined) return undefined;
        stack.push(next);
      }
      return stack.pop();
    } finally {
      for (const left of stack) if (left !== this.#root) closeDescriptor(left.fd);
    }
  }

  #step(here: OpenDirectory, component: string, make: true): OpenDirectory;
  #step(here: OpenDirectory, component: string, make: boolean): OpenDirectory | undefined;
  #step(here: OpenDirectory, component: string, make: boolean): OpenDirectory | undefined {
    const path = this.pathOf(here, component);
    const name = nameBytes(component);
    let fd = tryOpenAt(here.fd, name, DIRECTORY_FLAGS);
    if (fd < 0 && !make) return undefined;
    if (
      failedWith(fd, "ENOENT") ||
      (failedWith(fd, "ENOTDIR") && isWhiteout(statAt(here.fd, name)))
    ) {
      this.#makeAt(here, component, path);
      this.#metadata.set(path, undefined);
      fd = tryOpenAt(here.fd, name, DIRECTORY_FLAGS);
    }
    if (fd < 0) throw entryError("openat", path, -fd);
    return { fd, path };
  }

  #makeAt(parent: OpenDirectory, component: string, path: string): void {
    if (this.#tryMakeAt(parent, component, path)) return;
    const stat = statAt(parent.fd, nameBytes(component));
    if (stat && (stat.mode & FILE_TYPE.mask) === FILE_TYPE.directory) return;
    this.clear(parent, component);
    if (!this.#tryMakeAt(parent, component, path))
      throw entryError("mkdirat", path, errnoOf("EEXIST"));
  }

  /** Makes a directory; answers whether it did, as the name was free. */
  #tryMakeAt(parent: OpenDirectory, component: string, path: string): boolean {
    const made = tryMakeDirectoryAt(parent.fd, nameBytes(component), USUAL_MODE);
    if (failedWith(made, "EEXIST")) return false;
    if (made < 0) throw entryError("mkdirat", path, -made);
    this.#below.dropOpaque(path);
    if (this.#below.isHidden(path)) {
      const directory = this.#openAt(parent, component, path);
      try {
        this.makeOpaque(directory);
      } finally {
        closeDescriptor(directory.fd);
      }
    }
    return true;
  }

  #openAt(parent: OpenDirectory, component: string, path: string): OpenDirectory {
    const fd = tryOpenAt(parent.fd, nameBytes(component), DIRECTORY_FLAGS);
    if (fd < 0) throw entryError("openat", path, -fd);
    return { fd, path };
  }
}
