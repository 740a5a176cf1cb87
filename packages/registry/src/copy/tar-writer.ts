import type { FileHandle } from "node:fs/promises";

import type { ByteSource } from "@stowage/content";

import { writeAll } from "./durable-file.ts";
import { guarded } from "./file-failure.ts";
import { writeBehind } from "./write-behind.ts";

const BLOCK = 512;
// What octal digits in the header's field can hold.
const MAX_OCTAL_SIZE = 0o77777777777;

/**
 * A tar archive that is being written to a file. The same content makes the same bytes: owners and
 * times are zero.
 */
export class TarWriter {
  readonly #where: string;
  readonly #open: () => Promise<FileHandle>;
  #file: Promise<FileHandle> | undefined;
  #turn: Promise<void> = Promise.resolve();
  readonly #folders = new Set<string>();
  #position = 0;

  /** @param open - called when the first bytes are there; the file stays the caller's. */
  constructor(where: string, open: () => Promise<FileHandle>) {
    this.#where = where;
    this.#open = open;
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

  /** Waits for what is being written. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  /**
   * Ends the archive.
   *
   * @returns its size in bytes.
   */
  async end(): Promise<number> {
    await this.#turn;
    await guarded(this.#where, () => this.#append(Buffer.alloc(2 * BLOCK)));
    return this.#position;
  }

  async #write(
    name: string,
    size: number,
    source: () => ByteSource,
    onProgress: ((written: number) => void) | undefined,
  ): Promise<void> {
    const file = await guarded(this.#where, () => this.#opened());
    const start = this.#position;
    // A file that breaks off leaves its place to the next one.
    await file.truncate(start);
    const folders = foldersOf(name).filter((folder) => !this.#folders.has(folder));
    const headers = folders.map((folder) => formatHeader(folder, 0));
    await guarded(this.#where, () =>
      this.#append(Buffer.concat([...headers, formatHeader(name, size)])),
    );
    const from = this.#position;
    const write = (chunks: readonly Uint8Array[], position: number): Promise<void> =>
      guarded(this.#where, () => writeAll(file, chunks, from + position));
    try {
      this.#position += await writeBehind(source(), write, onProgress);
    } catch (error) {
      this.#position = start;
      throw error;
    }
    await guarded(this.#where, () => this.#append(Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)));
    for (const folder of folders) this.#folders.add(folder);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    await writeAll(await this.#opened(), [bytes], this.#position);
    this.#position += bytes.byteLength;
  }

  #opened(): Promise<FileHandle> {
    return (this.#file ??= this.#open());
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
