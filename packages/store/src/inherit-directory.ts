import { closeSync, constants, lstatSync, openSync } from "node:fs";

import { cString } from "./linux/libc.ts";
import { copyDirectoryMetadata } from "./linux/tree.ts";
import { getXattrAt } from "./linux/xattr.ts";

/** The roots of the layers below one, by depth: 0 is the nearest; `undefined` past the last. */
export type LowerRoots = (depth: number) => Promise<string | undefined>;

const SLASH = 0x2f;

/**
 * Gives a directory, which a layer uses without describing it, what the layers below say of it.
 *
 * @param root - The root of the layer.
 * @param path - The directory, from the root and as bytes; empty for the root itself.
 */
export async function inheritDirectory(
  below: LowerRoots,
  root: string,
  path: Uint8Array,
): Promise<void> {
  for (let depth = 0; ; depth += 1) {
    const lower = await below(depth);
    if (lower === undefined) return;
    const view = viewThrough(lower, path);
    if (view === "directory" && copyDirectoryMetadata(lower, root, path)) return;
    if (view === "hidden") return;
  }
}

/** Whether a layer has the directory, hides what lies below there, or lets it be seen. */
function viewThrough(root: string, path: Uint8Array): "directory" | "hidden" | "transparent" {
  let isOpaque = isOpaqueDirectory(Buffer.from(root));
  const bytes = Buffer.from(path);
  for (let end = 0; end < bytes.length;) {
    const slash = bytes.indexOf(SLASH, end + 1);
    end = slash === -1 ? bytes.length : slash;
    const prefix = Buffer.concat([Buffer.from(`${root}/`), bytes.subarray(0, end)]);
    const stat = lstatSync(prefix, { throwIfNoEntry: false });
    if (stat === undefined) return isOpaque ? "hidden" : "transparent";
    if (!stat.isDirectory()) return "hidden";
    isOpaque ||= isOpaqueDirectory(prefix);
  }
  return "directory";
}

function isOpaqueDirectory(path: Buffer): boolean {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const value = getXattrAt(fd, cString(""), "trusted.overlay.opaque");
    return value !== undefined && Buffer.from(value).toString("latin1") === "y";
  } finally {
    closeSync(fd);
  }
}
