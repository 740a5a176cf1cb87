/** What of the layers below does not show through a layer, by path: one character for each byte. */
export class HiddenNames {
  readonly #hidden = new Set<string>();
  readonly #opaque = new Set<string>();

  /** The layers below have nothing of this name. */
  hide(path: string): void {
    this.#hidden.add(path);
  }

  isHidden(path: string): boolean {
    return this.#hidden.has(path);
  }

  /** The layers below have nothing in this directory. */
  addOpaque(path: string): void {
    this.#opaque.add(path);
  }

  /** Another directory has the path now. */
  dropOpaque(path: string): void {
    this.#opaque.delete(path);
  }

  /** Whether a directory of the layers below that has this path can be seen. */
  shows(path: string): boolean {
    if (this.#hidden.size + this.#opaque.size === 0) return true;
    if (this.#hidden.has(path)) return false;
    for (let above = path; above !== "";) {
      above = above.slice(0, Math.max(above.lastIndexOf("/"), 0));
      if (this.#hidden.has(above) || this.#opaque.has(above)) return false;
    }
    return true;
  }
}
