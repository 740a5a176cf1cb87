import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { ByteSource } from "@stowage/content";

import { writeAll } from "./durable-file.ts";
import { guarded } from "./file-failure.ts";
import { writeBehind } from "./write-behind.ts";

const BLOCK = 512;
// What octal digits in the header's field can hold.
const MAX_OCTAL_SIZE = 0o77777777777;

/**
 * A tar archive that is being written beside its place; it gets there by `commit`. The same content
 * makes the same bytes: owners and times are zero.
 */
export class TarOutput implements AsyncDisposable {
  readonly #path: string;
  readonly #temporary: string;
  #file: FileHandle | undefined;
  #turn: Promise<void> = Promise.resolve();
  readonly #folders = new Set<string>();
  #position = 0;
  #done = false;

  constructor(path: string) {
    this.#path = path;
    this.#temporary = join(dirname(path), `.${randomBytes(8).toString("hex")}.partial`);
  }

  /**
   * Adds a file of exactly `size` bytes; one after another, in the order of the calls. The folders
   * that it lies in come before it: skopeo gives those that it has to make up to root, which takes
   * being root.
   */
  add(
    name: string,
    size: number,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<void> {
    const added = this.#turn.then(() => this.#write(name, size, source, onProgress));
    // The next in turn does not fail for this one's sake.
    this.#turn = added.catch(() => {});
    return added;
  }

  /** Ends the archive, syncs it, and puts it in the place of what was there. */
  async commit(): Promise<void> {
    await this.#turn;
    await guarded(this.#path, async () => {
      const file = await this.#open();
      await file.write(Buffer.alloc(2 * BLOCK), 0, 2 * BLOCK, this.#position);
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
    await this.#turn;
    await this.#file?.close();
    await rm(this.#temporary, { force: true });
  }

  async #write(
    name: string,
    size: number,
    source: () => ByteSource,
    onProgress: ((written: number) => void) | undefined,
  ): Promise<void> {
    const file = await guarded(this.#path, () => this.#open());
    const start = this.#position;
    // A file that breaks off leaves its place to the next one.
    await file.truncate(start);
    const folders = foldersOf(name).filter((folder) => !this.#folders.has(folder));
    const headers = folders.map((folder) => formatHeader(folder, 0));
    await guarded(this.#path, () =>
      this.#append(Buffer.concat([...headers, formatHeader(name, size)])),
    );
    const from = this.#position;
    const write = (chunks: readonly Uint8Array[], position: number): Promise<void> =>
      guarded(this.#path, () => writeAll(file, chunks, from + position));
    try {
      this.#position += await writeBehind(source(), write, onProgress);
    } catch (error) {
      this.#position = start;
      throw error;
    }
    await guarded(this.#path, () => this.#append(Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)));
    for (const folder of folders) this.#folders.add(folder);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    const file = await this.#open();
    await writeAll(file, [bytes], this.#position);
    this.#position += bytes.byteLength;
  }

  async #open(): Promise<FileHandle> {
    return (this.#file ??= await open(this.#temporary, "wx", 0o644));
  }
}

/** `a/b/c` lies in `a/` and `a/b/`. */
function foldersOf(name: string): readonly string[] {
  return [...name.matchAll(/\//g)].map(({ index }) => name.slice(0, index + 1));
}

/**
 * The header of a file, or of a folder if the name ends with a slash.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
function formatHeader(name: string, size: number): Buffer {
  const isFolder = name.endsWith("/");
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 100);
  header.write(isFolder ? "0000755\0" : "0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  if (size <= MAX_OCTAL_SIZE) header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  else {
    header.writeUInt8(0x80, 124);
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write(isFolder ? "5" : "0", 156);
  header.write("ustar\0", 257);
  header.write("00", 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
