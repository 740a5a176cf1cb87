import { OPEN, RESOLVE, tryOpenBeneath } from "./file-calls.ts";
import { cString, errnoOf, systemError } from "./libc.ts";

const ABSENT = ["ENOENT", "ENOTDIR", "ELOOP"];

/** What {@link openBelow} opens. */
export type OpenedKind = "directory" | "file";

/**
 * Opens a path of several components for reading, in the directory `root` of a tree that somebody
 * else writes. A directory is only a place to open more from.
 *
 * @returns The descriptor; `undefined` where there is nothing, or a symbolic link is on the way.
 * @throws {@link SystemError} `EXDEV` for a path that would leave the tree, and any other failure.
 */
export function openBelow(root: number, path: string, kind: OpenedKind): number | undefined {
  const flags = kind === "directory" ? OPEN.path | OPEN.directory : OPEN.readOnly | OPEN.nonBlock;
  const resolve = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagicLinks;
  const fd = tryOpenBeneath(root, cString(path), flags, resolve);
  if (fd >= 0) return fd;
  if (ABSENT.some((code) => -fd === errnoOf(code))) return undefined;
  throw systemError("openat2", path, -fd);
}
