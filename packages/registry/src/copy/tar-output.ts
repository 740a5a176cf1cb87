import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

import type { ByteSource } from "@stowage/content";

import { partialPath, removeDeadPartials } from "../partial-file.ts";
import { guarded } from "./file-failure.ts";
import { TarWriter } from "./tar-writer.ts";

/** A tar archive that is being written beside its place; it gets there by `commit`. */
export class TarOutput implements AsyncDisposable {
  readonly #path: string;
  readonly #writer: TarWriter;
  #partial: Promise<{ readonly path: string; readonly file: FileHandle }> | undefined;
  #done = false;

  constructor(path: string) {
    this.#path = path;
    this.#writer = new TarWriter(path, async () => (await this.#open()).file);
  }

  /** As {@link TarWriter.add}. */
  add(
    name: string,
    size: number,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<void> {
    return this.#writer.add(name, size, source, onProgress);
  }

  /** Ends the archive, syncs it, and puts it in the place of what was there. */
  async commit(): Promise<void> {
    await this.#writer.end();
    await guarded(this.#path, async () => {
      const { path, file } = await this.#open();
      await file.sync();
      await file.close();
      await rename(path, this.#path);
      this.#done = true;
      await using folder = await open(
        dirname(this.#path),
        constants.O_RDONLY | constants.O_DIRECTORY,
      );
      await folder.sync();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done) return;
    await this.#writer.idle();
    // Where it could not be opened, whoever wanted to write was told so.
    const partial = await this.#partial?.catch(() => undefined);
    if (partial === undefined) return;
    await partial.file.close();
    await rm(partial.path, { force: true });
  }

  #open(): Promise<{ readonly path: string; readonly file: FileHandle }> {
    return (this.#partial ??= openBeside(this.#path));
  }
}

/** Opens a file beside `path`, where none is left of a process that was killed. */
async function openBeside(
  path: string,
): Promise<{ readonly path: string; readonly file: FileHandle }> {
  await removeDeadPartials(dirname(path));
  const partial = await partialPath(dirname(path));
  return { path: partial, file: await open(partial, "wx", 0o644) };
}
