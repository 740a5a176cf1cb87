import { AT_CWD, closeDescriptor, OPEN, RESOLVE, tryOpenBeneath } from "../linux/file-calls.ts";
import { cString, errnoOf, systemError } from "../linux/libc.ts";
import { copyDirectoryMetadata } from "../linux/tree.ts";
import { getXattrAt } from "../linux/xattr.ts";

/** The roots of the layers below one, by depth: 0 is the nearest; `undefined` past the last. */
export type LowerRoots = (depth: number) => Promise<string | undefined>;

/** Whether a layer has a directory, hides what lies below there, by a link say, or lets it be seen. */
type View = "directory" | "hidden" | "link" | "transparent";

const ITSELF = cString("");
const DIRECTORY_FLAGS = OPEN.path | OPEN.directory;
// Each look is kept, and takes some 150 bytes.
const MAX_LOOKS = 100_000;
const NO_LINKS = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagicLinks;

/**
 * Gives directories, which a layer uses without describing them, what the layers below say of them.
 *
 * @param root - The root of the layer.
 * @param paths - The directories, from the root and as bytes; empty for the root itself.
 * @param views - What has been seen of layers that have not changed since.
 * @returns Those that hide a symbolic link of the layers below, which the archive does not say.
 */
export async function inheritDirectories(
  below: LowerRoots,
  root: string,
  paths: readonly Uint8Array[],
  views: LowerViews = new LowerViews(),
): Promise<readonly Uint8Array[]> {
  const overLinks: Uint8Array[] = [];
  for (const path of paths) {
    for (let depth = 0; ; depth += 1) {
      const lower = await below(depth);
      if (lower === undefined) break;
      const view = views.find(lower, Buffer.from(path).toString("latin1"));
      if (view === "directory" && copyDirectoryMetadata(lower, root, path)) break;
      if (view === "link") overLinks.push(path);
      if (view === "hidden" || view === "link") break;
    }
  }
  return overLinks;
}

/** What layers show; the layers of an image are asked for the same by each one above. */
export class LowerViews {
  readonly #layers = new Map<string, LowerLayer>();
  #looks = 0;

  /** @param path - One character for each byte. */
  find(root: string, path: string): View {
    if (this.#looks > MAX_LOOKS) this.forget();
    let layer = this.#layers.get(root);
    if (layer === undefined) {
      layer = new LowerLayer(root, () => (this.#looks += 1));
      this.#layers.set(root, layer);
    }
    return layer.view(path);
  }

  /** To be called when a layer has been exchanged. */
  forget(): void {
    this.#layers.clear();
    this.#looks = 0;
  }
}

/** What one of the layers below shows; what has been looked at once is known. */
class LowerLayer {
  readonly #root: string;
  readonly #onLook: () => void;
  readonly #views = new Map<string, View>();
  readonly #opaque = new Map<string, boolean>();

  constructor(root: string, onLook: () => void) {
    this.#root = root;
    this.#onLook = onLook;
  }

  /** @param path - One character for each byte. */
  view(path: string): View {
    if (path === "") return "directory";
    let view = this.#views.get(path);
    if (view === undefined) {
      const above = this.view(parentOf(path));
      if (above === "link") return "hidden";
      if (above !== "directory") return above;
      view = this.#look(path);
      this.#views.set(path, view);
      this.#onLook();
    }
    return view;
  }

  #look(path: string): View {
    const fd = this.#open(path);
    if (fd >= 0) {
      closeDescriptor(fd);
      return "directory";
    }
    if (fd === -errnoOf("ENOENT")) return this.#isOpaque(parentOf(path)) ? "hidden" : "transparent";
    if (fd === -errnoOf("ELOOP")) return "link";
    if (fd === -errnoOf("ENOTDIR")) return "hidden";
    throw systemError("openat2", Buffer.from(path, "latin1"), -fd);
  }

  /** Whether a directory that is there, or one above it, hides what lies below. */
  #isOpaque(path: string): boolean {
    let isOpaque = this.#opaque.get(path);
    if (isOpaque === undefined) {
      isOpaque = (path !== "" && this.#isOpaque(parentOf(path))) || this.#isMarked(path);
      this.#opaque.set(path, isOpaque);
    }
    return isOpaque;
  }

  #isMarked(path: string): boolean {
    const fd = this.#open(path);
    if (fd < 0) throw systemError("openat2", Buffer.from(path, "latin1"), -fd);
    try {
      return ["trusted.overlay.opaque", "user.overlay.opaque"].some(
        (attribute) => getXattrAt(fd, ITSELF, attribute)?.toString("latin1") === "y",
      );
    } finally {
      closeDescriptor(fd);
    }
  }

  /** The descriptor, or the negated error number. */
  #open(path: string): number {
    const root = tryOpenBeneath(AT_CWD, cString(this.#root), DIRECTORY_FLAGS, 0);
    if (root < 0) throw systemError("openat2", this.#root, -root);
    if (path === "") return root;
    try {
      const name = cString(Buffer.from(path, "latin1"));
      return tryOpenBeneath(root, name, DIRECTORY_FLAGS, NO_LINKS);
    } finally {
      closeDescriptor(root);
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}
