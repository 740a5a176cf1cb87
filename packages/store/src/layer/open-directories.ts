import { closeDescriptor } from "../linux/file-calls.ts";
import type { OpenDirectory } from "./entry-metadata.ts";

const MAX_OPEN = 32;

/**
 * Directories that are held open, by the paths that they were asked for. Whenever something is taken
 * away all are forgotten, whatever they are called: a link on the way to any may be gone.
 */
export class OpenDirectories implements Disposable {
  readonly #open = new Map<string, OpenDirectory>();
  #retired: OpenDirectory[] = [];
  /** What was asked for last, which mostly is asked for again: entries come directory by directory. */
  #latestPath: string | undefined;
  #latest: OpenDirectory | undefined;

  [Symbol.dispose](): void {
    this.forget();
  }

  find(path: string): OpenDirectory | undefined {
    if (path === this.#latestPath) return this.#latest;
    const known = this.#open.get(path);
    if (known === undefined) return undefined;
    this.#open.delete(path);
    this.#open.set(path, known);
    this.#latestPath = path;
    this.#latest = known;
    return known;
  }

  /** Holds a directory open, in place of the one that has not been asked for longest. */
  keep(path: string, opened: OpenDirectory): OpenDirectory {
    if (this.#open.size >= MAX_OPEN) {
      for (const [oldest, { fd }] of this.#open) {
        this.#open.delete(oldest);
        closeDescriptor(fd);
        break;
      }
    }
    this.#open.set(path, opened);
    this.#latestPath = path;
    this.#latest = opened;
    return opened;
  }

  /** Closes all; `kept`, which nobody finds any more, are closed the next time. */
  forget(...kept: readonly (OpenDirectory | undefined)[]): void {
    const held = new Set([...this.#open.values(), ...this.#retired]);
    this.#open.clear();
    this.#latestPath = undefined;
    this.#latest = undefined;
    this.#retired = [];
    for (const directory of held) {
      if (kept.includes(directory)) this.#retired.push(directory);
      else closeDescriptor(directory.fd);
    }
  }
}
