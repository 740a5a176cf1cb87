import { AT_CWD, closeDescriptor, OPEN, tryOpenAt, tryOpenBeneath } from "../linux/file-calls.ts";
import { cString, errnoOf, systemError } from "../linux/libc.ts";
import { copyDirectoryMetadata } from "../linux/tree.ts";
import { getXattrAt } from "../linux/xattr.ts";

/** The roots of the layers below one, by depth: 0 is the nearest; `undefined` past the last. */
export type LowerRoots = (depth: number) => Promise<string | undefined>;

const SLASH = 0x2f;
const ITSELF = cString("");
const DIRECTORY_FLAGS = OPEN.path | OPEN.directory;

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
  let fd = tryOpenBeneath(AT_CWD, cString(root), DIRECTORY_FLAGS, 0);
  if (fd < 0) throw systemError("openat2", root, -fd);
  try {
    let isOpaque = isOpaqueDirectory(fd);
    for (const component of componentsOf(path)) {
      const next = tryOpenAt(fd, cString(component), DIRECTORY_FLAGS);
      if (next === -errnoOf("ENOENT")) return isOpaque ? "hidden" : "transparent";
      if (next === -errnoOf("ENOTDIR") || next === -errnoOf("ELOOP")) return "hidden";
      if (next < 0) throw systemError("openat", component, -next);
      closeDescriptor(fd);
      fd = next;
      isOpaque ||= isOpaqueDirectory(fd);
    }
    return "directory";
  } finally {
    closeDescriptor(fd);
  }
}

function* componentsOf(path: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start);
    const end = slash === -1 ? path.length : slash;
    yield path.subarray(start, end);
    start = end + 1;
  }
}

function isOpaqueDirectory(fd: number): boolean {
  return ["trusted.overlay.opaque", "user.overlay.opaque"].some(
    (attribute) => getXattrAt(fd, ITSELF, attribute)?.toString("latin1") === "y",
  );
}
