import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { ByteSource } from "@stowage/content";

import { guarded } from "./file-failure.ts";
import { TarWriter } from "./tar-writer.ts";

/** A tar archive that is being written beside its place; it gets there by `commit`. */
export class TarOutput implements AsyncDisposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #writer: TarWriter;
  #file: FileHandle | undefined;
  #done = false;

  constructor(path: string) {
    this.#path = path;
    this.#temporary = join(dirname(path), `.${randomBytes(8).toString("hex")}.partial`);
    this.#writer = new TarWriter(path, () => this.#open());
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
      const file = await this.#open();
      await file.sync();
      await file.close();
      await rename(this.#temporary, this.#path);
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
    await this.#file?.close();
    await rm(this.#temporary, { force: true });
  }

  async #open(): Promise<FileHandle> {
    return (this.#file ??= await open(this.#temporary, "wx", 0o644));
  }
}
