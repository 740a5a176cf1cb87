/**
 * Makes the files of a layer in a directory of its own, as overlayfs wants to find them.
 *
 * @module
 */
import { ftruncateSync, writeSync } from "node:fs";

import {
  closeDescriptor,
  OPEN,
  tryMakeNodeAt,
  tryOpenAt,
  trySymlinkAt,
} from "../linux/file-calls.ts";
import {
  changeMode,
  changeTimes,
  changeTimesAt,
  FILE_TYPE,
  timesOf,
} from "../linux/file-metadata.ts";
import type { StoreError } from "../store-error.ts";
import {
  changeFileOwnership,
  changeOwnership,
  describeEntry,
  type EntryMetadata,
  nameBytes,
  type OpenDirectory,
  setFileXattrs,
  tryMakeWhiteout,
} from "./entry-metadata.ts";
import { makeHardLink } from "./hard-link.ts";
import { LayerDirectory } from "./layer-directory.ts";
import { nodeOf } from "./device-node.ts";
import { entryError, failedWith, invalidEntry } from "./layer-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import { isOverlayXattr, isXattrAllowed } from "./layer-xattr.ts";
import { NewFileOwner } from "./new-file-owner.ts";
import { cleanPath, isInWhiteoutMeta, type SafePath } from "./safe-path.ts";
import type { TarEntry } from "./tar-entry.ts";
import type { TarSink } from "./tar-reader.ts";
import { parseWhiteout } from "./whiteout.ts";

/** What came of the entries of a layer. */
export interface AppliedLayer {
  readonly entries: number;
  /**
   * Directories that the archive has not, though it has entries in them, and that it does not hide of
   * the layers below: they belong to root, with mode 0755, until they get what those have. As bytes;
   * empty for the root.
   */
  readonly impliedDirectories: readonly Buffer[];
  /** Whether nothing of the layers below shows, at the root of the tree. */
  readonly isRootOpaque: boolean;
  /** Device nodes that were left out: only root can make them, and not in a user namespace. */
  readonly skippedDevices: number;
  /** Attributes that were left out because overlayfs would take them for its own. */
  readonly overlayXattrs: number;
}

/** A sink that makes each entry that it is told about. */
export interface LayerApplier extends TarSink, Disposable {
  /** Gives the directories their metadata. Call it once, when all entries have come. */
  finish(): AppliedLayer;
}

/** Starts a layer in an empty directory that only this process can reach. */
export function createLayerApplier(directory: string, limits: LayerLimits): LayerApplier {
  return new DirectoryApplier(directory, limits);
}

interface OpenFile {
  readonly fd: number;
  readonly parent: OpenDirectory;
  readonly name: string;
  readonly entry: TarEntry;
  /** Where the next byte goes, once a hole has come before it. */
  position: number | undefined;
  written: number;
}

const CREATE_FLAGS = OPEN.writeOnly | OPEN.create | OPEN.exclusive;
const PERMISSIONS = 0o777;

class DirectoryApplier implements LayerApplier {
  readonly #directory: LayerDirectory;
  readonly #limits: LayerLimits;
  readonly #umask = process.umask();
  readonly #newFileOwner = new NewFileOwner();
  #file: OpenFile | undefined;
  #entries = 0;
  #skippedDevices = 0;
  #overlayXattrs = 0;
  #isRootOpaque = false;

  constructor(path: string, limits: LayerLimits) {
    this.#directory = new LayerDirectory(path, limits);
    this.#limits = limits;
  }

  [Symbol.dispose](): void {
    if (this.#file) closeDescriptor(this.#file.fd);
    this.#file = undefined;
    this.#directory[Symbol.dispose]();
  }

  begin(entry: TarEntry): void {
    this.#entries += 1;
    if (entry.xattrs.length > 0) this.#overlayXattrs += entry.xattrs.filter(isOverlayXattr).length;
    const path = cleanPath(entry.path, this.#limits);
    if (isInWhiteoutMeta(path)) return;
    this.#directory.noteTime(entry.mtime);
    const whiteout = parseWhiteout(path.name);
    if (whiteout.type === "meta") return;
    if (path.name === "") {
      this.#applyRoot(entry);
      return;
    }
    const parent = this.#directory.open(path.directory);
    if (whiteout.type === "opaque") this.#applyOpaque(parent);
    else if (whiteout.type === "hide") this.#applyWhiteout(parent, whiteout.name, entry);
    else this.#applyEntry(parent, path, entry);
  }

  content(bytes: Buffer): void {
    const file = this.#file;
    if (file === undefined) return;
    try {
      for (let done = 0; done < bytes.length;) {
        const length = bytes.length - done;
        const at = file.position === undefined ? null : file.position + done;
        done += writeSync(file.fd, bytes, done, length, at);
      }
    } catch (error) {
      throw this.#writeError(file, error);
    }
    if (file.position !== undefined) file.position += bytes.length;
    file.written += bytes.length;
  }

  hole(length: number): void {
    const file = this.#file;
    if (file === undefined) return;
    file.position = file.written + length;
    file.written = file.position;
    try {
      ftruncateSync(file.fd, file.written);
    } catch (error) {
      throw this.#writeError(file, error);
    }
  }

  end(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    const { fd, parent, name, entry } = file;
    try {
      const { mode } = entry;
      const xattrs = entry.xattrs.filter(isXattrAllowed);
      if (!this.#newFileOwner.is(fd, entry)) {
        changeFileOwnership(fd, entry, () => this.#directory.pathOf(parent, name));
      }
      if (xattrs.length > 0) setFileXattrs(fd, xattrs, this.#directory.pathOf(parent, name));
      const isModeSet = (mode & ~PERMISSIONS) === 0 && (mode & this.#umask) === 0;
      if (!isModeSet || xattrs.length > 0) changeMode(fd, mode);
      changeTimes(fd, timesOf(entry.atime, entry.mtime));
    } finally {
      closeDescriptor(fd);
    }
  }

  finish(): AppliedLayer {
    return {
      entries: this.#entries,
      impliedDirectories: this.#directory.finish(),
      isRootOpaque: this.#isRootOpaque,
      skippedDevices: this.#skippedDevices,
      overlayXattrs: this.#overlayXattrs,
    };
  }

  #applyRoot(entry: TarEntry): void {
    if (entry.type !== "directory") throw invalidEntry("", "the root is no directory");
    this.#directory.describeRoot(directoryMetadata(entry));
  }

  #applyOpaque(parent: OpenDirectory): void {
    if (parent.path === "") this.#isRootOpaque = true;
    this.#directory.makeOpaque(parent);
  }

  /** What the layer itself has under the name stays: only the layers below are hidden. */
  #applyWhiteout(parent: OpenDirectory, name: string, { mtime }: TarEntry): void {
    const path = this.#directory.pathOf(parent, name);
    this.#directory.hide(parent, name);
    const made = tryMakeWhiteout(parent.fd, name);
    if (made === 0) {
      changeTimesAt(parent.fd, nameBytes(name), timesOf(mtime, mtime));
      return;
    }
    if (!failedWith(made, "EEXIST")) throw entryError("mknodat", path, -made);
    const fd = tryOpenAt(parent.fd, nameBytes(name), OPEN.path | OPEN.directory);
    if (fd < 0) return;
    try {
      this.#directory.makeOpaque({ fd, path });
    } finally {
      closeDescriptor(fd);
    }
  }

  #applyEntry(parent: OpenDirectory, path: SafePath, entry: TarEntry): void {
    const { name } = path;
    switch (entry.type) {
      case "directory":
        this.#directory.make(parent, name, directoryMetadata(entry));
        return;
      case "file":
        this.#beginFile(parent, name, entry);
        return;
      case "symlink":
        this.#makeSymlink(parent, name, entry);
        return;
      case "hard-link":
        makeHardLink(this.#directory, parent, name, entry, this.#limits);
        return;
      default:
        this.#makeNode(parent, name, entry);
    }
  }

  #beginFile(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const mode = entry.mode & PERMISSIONS;
    const fd = this.#create(parent, name, "openat", (bytes) =>
      tryOpenAt(parent.fd, bytes, CREATE_FLAGS, mode),
    );
    this.#file = { fd, parent, name, entry, position: undefined, written: 0 };
  }

  #writeError({ parent, name }: OpenFile, error: unknown): StoreError {
    const { errno } = error as NodeJS.ErrnoException;
    return entryError("write", this.#directory.pathOf(parent, name), -(errno ?? 0));
  }

  #makeSymlink(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const target = nameBytes(entry.linkPath);
    this.#create(parent, name, "symlinkat", (bytes) => trySymlinkAt(target, parent.fd, bytes));
    const bytes = nameBytes(name);
    changeOwnership(parent.fd, bytes, entry, this.#directory.pathOf(parent, name));
    changeTimesAt(parent.fd, bytes, timesOf(entry.atime, entry.mtime));
  }

  #makeNode(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const path = this.#directory.pathOf(parent, name);
    const { type, major, minor } = nodeOf(entry, path);
    const mode = type | (entry.mode & PERMISSIONS);
    const made = this.#tryCreate(parent, name, (bytes) =>
      tryMakeNodeAt(parent.fd, bytes, mode, major, minor),
    );
    if (failedWith(made, "EPERM") && type !== FILE_TYPE.fifo) {
      this.#skippedDevices += 1;
      return;
    }
    if (made < 0) throw entryError("mknodat", path, -made);
    describeEntry(parent.fd, name, entry, path);
  }

  #create(
    parent: OpenDirectory,
    name: string,
    syscall: string,
    make: (name: Uint8Array) => number,
  ): number {
    const made = this.#tryCreate(parent, name, make);
    if (made < 0) throw entryError(syscall, this.#directory.pathOf(parent, name), -made);
    return made;
  }

  /** Makes something under a name, in place of what an earlier entry has made there. */
  #tryCreate(parent: OpenDirectory, name: string, make: (name: Uint8Array) => number): number {
    this.#directory.pathOf(parent, name);
    const bytes = nameBytes(name);
    const made = make(bytes);
    if (!failedWith(made, "EEXIST")) return made;
    this.#directory.clear(parent, name);
    return make(bytes);
  }
}

function directoryMetadata(entry: TarEntry): EntryMetadata {
  const { uid, gid, mode, atime, mtime } = entry;
  return { uid, gid, mode, atime, mtime, xattrs: entry.xattrs.filter(isXattrAllowed) };
}
