/**
 * The files of a layer as a reader finds them that joins names to its directory.
 *
 * @module
 */
import { closeSync, fstatSync } from "node:fs";

import { AT_CWD, closeDescriptor, OPEN, RESOLVE, tryOpenBeneath } from "../linux/file-calls.ts";
import { cString, systemError } from "../linux/libc.ts";
import { readFully } from "../read-fully.ts";

/** An open file of a layer. */
export interface LayerFile extends Disposable {
  readonly size: number;
  /** Fills a buffer from so far into the file; answers how many bytes there were. */
  read(into: Buffer, position: number): number;
}

/** The files of one layer. */
export interface LayerFiles extends Disposable {
  /**
   * Opens a regular file.
   *
   * @param path - From the layer's root, one character for each byte.
   * @returns `undefined` where there is none, or a symbolic link is on the way.
   */
  open(path: string): LayerFile | undefined;
}

export function openLayerFiles(diffDir: string): LayerFiles {
  const flags = OPEN.path | OPEN.directory;
  const root = tryOpenBeneath(AT_CWD, cString(diffDir), flags, RESOLVE.noMagicLinks);
  if (root < 0) throw systemError("openat2", diffDir, -root);
  return layerFilesIn(root);
}

/** The files of a layer whose directory is open; it is closed with them. */
export function layerFilesIn(root: number): LayerFiles {
  return {
    open: (path) => openFile(root, path),
    [Symbol.dispose]: () => closeDescriptor(root),
  };
}

function openFile(root: number, path: string): LayerFile | undefined {
  const resolve = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagicLinks | RESOLVE.noXdev;
  const name = cString(Buffer.from(path, "latin1"));
  const fd = tryOpenBeneath(root, name, OPEN.readOnly | OPEN.nonBlock, resolve);
  if (fd < 0) return undefined;
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    return undefined;
  }
  return {
    size: stat.size,
    read: (into, position) => readFully(fd, into, position),
    [Symbol.dispose]: () => closeSync(fd),
  };
}
