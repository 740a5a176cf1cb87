/**
 * Hard links, which have both ends in the layer.
 *
 * @module
 */
import { tryLinkAt } from "../linux/file-calls.ts";
import { FILE_TYPE, type FileStat, statAt } from "../linux/file-metadata.ts";
import { getXattrAt } from "../linux/xattr.ts";
import { describeEntry, isWhiteout, nameBytes, type OpenDirectory } from "./entry-metadata.ts";
import type { LayerDirectory } from "./layer-directory.ts";
import { entryError, failedWith, invalidEntry } from "./layer-error.ts";
import type { LayerLimits } from "./layer-limits.ts";
import type { ArchiveXattr } from "./pax-header.ts";
import { cleanPath } from "./safe-path.ts";
import type { TarEntry } from "./tar-entry.ts";

const CAPABILITY = "security.capability";

/**
 * Gives a file, or a symbolic link, of the layer another name, and the file what the entry says.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` when the layer has no such file yet, or it is
 *   of another type; `ERR_STORE_LAYER_ESCAPE` when its name leaves the layer.
 */
export function makeHardLink(
  directory: LayerDirectory,
  parent: OpenDirectory,
  name: string,
  entry: TarEntry,
  limits: LayerLimits,
): void {
  const own = directory.pathOf(parent, name);
  const target = cleanPath(entry.linkPath, limits);
  const targetParent = directory.find(target.directory);
  if (targetParent === undefined || target.name === "") {
    throw invalidEntry(own, "a hard link to nothing in this layer");
  }
  const targetName = nameBytes(target.name);
  const stat = statAt(targetParent.fd, targetName);
  if (stat === undefined || isWhiteout(stat)) {
    throw invalidEntry(own, "a hard link to nothing in this layer");
  }
  const type = stat.mode & FILE_TYPE.mask;
  if (type !== FILE_TYPE.regular && type !== FILE_TYPE.symlink) {
    throw invalidEntry(own, "a hard link to neither a file nor a symbolic link");
  }
  if (directory.pathOf(targetParent, target.name) === own) {
    throw invalidEntry(own, "a hard link to itself");
  }
  const link = (): number => tryLinkAt(targetParent.fd, targetName, parent.fd, nameBytes(name));
  let linked = link();
  if (failedWith(linked, "EEXIST")) {
    directory.clear(parent, name, targetParent);
    linked = link();
  }
  if (linked < 0) throw entryError("linkat", own, -linked);
  if (type === FILE_TYPE.regular) describeShared(parent, name, entry, own, stat);
}

/** A change of owner takes away what a file is capable of, which the entry need not say again. */
function describeShared(
  parent: OpenDirectory,
  name: string,
  entry: TarEntry,
  path: string,
  stat: FileStat,
): void {
  const isSameOwner = stat.uid === entry.uid && stat.gid === entry.gid;
  const lost = isSameOwner ? undefined : getXattrAt(parent.fd, nameBytes(name), CAPABILITY);
  const kept: ArchiveXattr[] = lost === undefined ? [] : [{ name: CAPABILITY, value: lost }];
  const xattrs = [...kept, ...entry.xattrs];
  describeEntry(parent.fd, name, { ...entry, xattrs }, path, isSameOwner);
}
