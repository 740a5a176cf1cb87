import { AT_CWD, closeDescriptor, OPEN, RESOLVE, tryOpenBeneath } from "../linux/file-calls.ts";
import { cString, errnoOf, systemError } from "../linux/libc.ts";
import { copyDirectoryMetadata } from "../linux/tree.ts";
import { getXattrAt } from "../linux/xattr.ts";

/** Whether a layer has a directory, hides what lies below there, by a link say, or lets it be seen. */
type View = "directory" | "hidden" | "link" | "transparent";

const ITSELF = cString("");
const DIRECTORY_FLAGS = OPEN.path | OPEN.directory;
// Each look and each answer is kept, and takes some 150 bytes.
const MAX_LOOKS = 100_000;
const NO_LINKS = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagicLinks;

/**
 * Gives directories, which a layer uses without describing them, what the layers below say of them.
 *
 * @param below - The layer that it lies on.
 * @param root - The root of the layer.
 * @param paths - The directories, from the root and as bytes; empty for the root itself.
 * @param views - What has been seen of layers that have not changed since.
 * @returns Those that hide a symbolic link of the layers below, which the archive does not say.
 */
export function inheritDirectories(
  below: LowerLayer | undefined,
  root: string,
  paths: readonly Uint8Array[],
  views: LowerViews,
): readonly Uint8Array[] {
  const overLinks: Uint8Array[] = [];
  for (const path of paths) {
    const shown = views.nearest(below, Buffer.from(path).toString("latin1"));
    if (shown?.view === "directory") copyDirectoryMetadata(shown.layer.root, root, path);
    if (shown?.view === "link") overLinks.push(path);
  }
  views.trim();
  return overLinks;
}

/** What the first layer says that does not let those below it be seen. */
interface Shown {
  readonly layer: LowerLayer;
  readonly view: Exclude<View, "transparent">;
}

/** From where a path was last looked for, and what came of it. */
interface Answer {
  readonly top: LowerLayer;
  readonly shown: Shown | undefined;
}

/**
 * What layers show; the layers of an image are asked for the same by each one above. What lies below
 * a layer is always the same.
 */
export class LowerViews {
  readonly #layers = new Map<string, LowerLayer>();
  readonly #answers = new Map<string, Answer>();
  #looks = 0;

  /** The layer that has its files there, if it is known. */
  find(root: string): LowerLayer | undefined {
    return this.#layers.get(root);
  }

  add(root: string, below: LowerLayer | undefined): LowerLayer {
    const layer = new LowerLayer(root, below, () => (this.#looks += 1));
    this.#layers.set(root, layer);
    return layer;
  }

  /**
   * What a layer and those below it show at a path; nothing where all of them let through.
   *
   * @param path - One character for each byte.
   */
  nearest(top: LowerLayer | undefined, path: string): Shown | undefined {
    if (top === undefined) return undefined;
    if (path === "") return { layer: top, view: "directory" };
    const known = this.#answers.get(path);
    if (known?.top === top) return known.shown;
    const shown = this.#search(top, path, known);
    if (known === undefined) this.#looks += 1;
    this.#answers.set(path, { top, shown });
    return shown;
  }

  #search(top: LowerLayer, path: string, known: Answer | undefined): Shown | undefined {
    const parent = this.nearest(top, parentOf(path));
    if (parent === undefined) return undefined;
    if (parent.view !== "directory") return { layer: parent.layer, view: "hidden" };
    for (let layer: LowerLayer | undefined = top; layer !== undefined; layer = layer.below) {
      if (layer === known?.top) return known.shown;
      // Those above the first that has the directory have nothing in it.
      if (layer.height > parent.layer.height) continue;
      const view = layer.view(path);
      if (view !== "transparent") return { layer, view };
    }
    return undefined;
  }

  /** Forgets all once it is much. */
  trim(): void {
    if (this.#looks > MAX_LOOKS) this.forget();
  }

  /** To be called when a layer has been exchanged. */
  forget(): void {
    this.#layers.clear();
    this.#answers.clear();
    this.#looks = 0;
  }
}

/** What one of the layers below shows; what has been looked at once is known. */
export class LowerLayer {
  readonly root: string;
  /** The next one, as far as anything of it can be seen. */
  readonly below: LowerLayer | undefined;
  /** How many lie below it. */
  readonly height: number;
  readonly #onLook: () => void;
  readonly #views = new Map<string, View>();
  readonly #opaque = new Map<string, boolean>();

  constructor(root: string, below: LowerLayer | undefined, onLook: () => void) {
    this.root = root;
    this.below = below;
    this.height = below === undefined ? 0 : below.height + 1;
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
    const root = tryOpenBeneath(AT_CWD, cString(this.root), DIRECTORY_FLAGS, 0);
    if (root < 0) throw systemError("openat2", this.root, -root);
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
