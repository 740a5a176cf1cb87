/**
 * tar-split: what it takes beside a layer's files to put its archive together again, byte by byte.
 *
 * One line of JSON for each stretch of the archive that is no file content (`type` 2), and one for
 * each entry (`type` 1), which stands for the content of the file that has its name.
 *
 * @module
 */
import { isUtf8 } from "node:buffer";

import type { LayerLimits } from "../layer/layer-limits.ts";
import { cleanPath } from "../layer/safe-path.ts";
import type { TarEntry } from "../layer/tar-entry.ts";
import { createTarReader, type TarBody, type TarReader } from "../layer/tar-reader.ts";
import { Crc64 } from "./crc64.ts";
import type { LayerFile, LayerFiles } from "../layer/layer-files.ts";

/** A line of tar-split; its fields are the format's. */
export interface TarSplitLine {
  /** 1 for an entry, 2 for bytes of the archive. */
  readonly type: 1 | 2;
  readonly name?: string;
  /** Base64 of a name that is no text. */
  readonly name_raw?: string;
  /** Bytes of content. */
  readonly size?: number;
  /** Base64: the bytes; or the checksum of the content, if there is any. */
  readonly payload: string | null;
  readonly position: number;
}

const SEGMENT_BYTES = 48 * 1024;
/** It must be possible to open a file by a path that has the directory of an export before it. */
const MAX_NAME_BYTES = 2048;

/** An entry that has been announced, and whose content has not come whole. */
interface WaitingEntry {
  readonly entry: TarEntry;
  readonly body: TarBody;
}

/** A file whose content is coming. */
interface FileInFlight {
  readonly entry: TarEntry;
  readonly bytes: number;
  readonly checksum: Crc64;
  /** The file on disk, as long as it has the same content. Without it, content is kept raw. */
  file: LayerFile | undefined;
  done: number;
}

/**
 * Splits an archive as its bytes come in.
 *
 * Content is compared with the file on disk that a reader would find by the entry's name. What that
 * does not have is kept raw: a file that a later entry replaces, a sparse one, the content of a
 * whiteout, or one whose name leads through a link.
 */
export class TarSplitter implements Disposable {
  readonly #files: LayerFiles;
  readonly #limits: LayerLimits;
  readonly #reader: TarReader;
  readonly #waiting: WaitingEntry[] = [];
  readonly #seen = new Set<string>();
  readonly #lines: string[] = [];
  #current: FileInFlight | undefined;
  #raw: Buffer[] = [];
  #rawBytes = 0;
  #offset = 0;
  #position = 0;

  constructor(files: LayerFiles, limits: LayerLimits) {
    this.#files = files;
    this.#limits = limits;
    const begin = (entry: TarEntry, body: TarBody): void =>
      void this.#waiting.push({ entry, body });
    this.#reader = createTarReader({ begin, content() {}, hole() {}, end() {} }, limits);
  }

  /**
   * Takes the next bytes, which stay the caller's.
   *
   * @throws {@link StoreError} As the reader of archives does.
   */
  push(chunk: Buffer): void {
    this.#reader.push(chunk);
    for (let at = 0; at < chunk.length;) {
      this.#beginEntries();
      const file = this.#current;
      const start = this.#waiting[0]?.body.start ?? Infinity;
      const wanted = file === undefined ? start - this.#offset : file.bytes - file.done;
      const bytes = chunk.subarray(at, at + Math.min(wanted, chunk.length - at));
      if (file === undefined) this.#keep(bytes);
      else this.#takeContent(file, bytes);
      at += bytes.length;
      this.#offset += bytes.length;
    }
  }

  /** Says that all bytes have come. @throws {@link StoreError} `ERR_STORE_INVALID_LAYER` */
  finish(): void {
    this.#reader.finish();
    this.#beginEntries();
    this.#flush();
  }

  /** The lines that there are since it was called last. */
  take(): string {
    return this.#lines.splice(0).join("");
  }

  [Symbol.dispose](): void {
    this.#current?.file?.[Symbol.dispose]();
    this.#current = undefined;
  }

  /** Begins the entries whose content stands here, if they have any. */
  #beginEntries(): void {
    while (this.#current === undefined) {
      const [next] = this.#waiting;
      if (next === undefined || next.body.start > this.#offset) return;
      this.#waiting.shift();
      this.#beginEntry(next);
    }
  }

  #beginEntry({ entry, body }: WaitingEntry): void {
    const { directory, name } = cleanPath(entry.path, this.#limits);
    const path = directory === "" ? name : `${directory}/${name}`;
    // Readers refuse one name twice.
    const isNew = !this.#seen.has(path);
    if (body.bytes === 0) {
      this.#seen.add(path);
      if (isNew) this.#endEntry(entry, undefined, 0);
      return;
    }
    const isNamed = isNew && !body.isSparse && path.length <= MAX_NAME_BYTES;
    const file = isNamed ? this.#files.open(path) : undefined;
    const current = { entry, bytes: body.bytes, checksum: new Crc64(), file, done: 0 };
    if (file !== undefined) this.#seen.add(path);
    if (file !== undefined && file.size !== body.bytes) this.#giveUpFile(current);
    this.#current = current;
  }

  #takeContent(current: FileInFlight, bytes: Buffer): void {
    if (current.file !== undefined) {
      const found = Buffer.allocUnsafe(bytes.length);
      const isSame = current.file.read(found, current.done) === bytes.length && found.equals(bytes);
      if (isSame) current.checksum.update(bytes);
      else this.#giveUpFile(current);
    }
    if (current.file === undefined) this.#keep(bytes);
    current.done += bytes.length;
    if (current.done < current.bytes) return;
    this.#current = undefined;
    if (current.file === undefined) return;
    current.file[Symbol.dispose]();
    this.#endEntry(current.entry, current.checksum, current.bytes);
  }

  /** Keeps raw what has come of a file, which is the same on disk up to here, and what will come. */
  #giveUpFile(current: FileInFlight): void {
    const { file } = current;
    if (file === undefined) return;
    current.file = undefined;
    for (let at = 0; at < current.done; at += SEGMENT_BYTES) {
      const bytes = Buffer.allocUnsafe(Math.min(SEGMENT_BYTES, current.done - at));
      file.read(bytes, at);
      this.#keep(bytes);
    }
    file[Symbol.dispose]();
  }

  #endEntry({ path }: TarEntry, checksum: Crc64 | undefined, size: number): void {
    this.#flush();
    const bytes = Buffer.from(path, "latin1");
    this.#write({
      type: 1,
      ...(isUtf8(bytes) ? { name: bytes.toString() } : { name_raw: bytes.toString("base64") }),
      ...(size > 0 && { size }),
      payload: checksum?.digest().toString("base64") ?? null,
    });
  }

  #keep(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + SEGMENT_BYTES - this.#rawBytes);
      this.#raw.push(Buffer.from(piece));
      this.#rawBytes += piece.length;
      at += piece.length;
      if (this.#rawBytes === SEGMENT_BYTES) this.#flush();
    }
  }

  #flush(): void {
    if (this.#rawBytes === 0) return;
    this.#write({ type: 2, payload: Buffer.concat(this.#raw).toString("base64") });
    this.#raw = [];
    this.#rawBytes = 0;
  }

  #write(line: Omit<TarSplitLine, "position">): void {
    this.#lines.push(`${JSON.stringify({ ...line, position: this.#position })}\n`);
    this.#position += 1;
  }
}
