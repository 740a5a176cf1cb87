import type { FileHandle } from "node:fs/promises";

/** What may wait in memory while the disk is at work. */
const MAX_WAITING = 256 * 1024;

/**
 * Appends chunks to a file in their order. While some are written others gather, and go together
 * then: who brings them waits only when the disk falls behind.
 */
export class AppendQueue {
  readonly #file: FileHandle;
  readonly #onWritten: (chunks: readonly Uint8Array[], length: number) => void;
  #length: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param onWritten - Is told what has been written, and how long the file is then. */
  constructor(
    file: FileHandle,
    length: number,
    onWritten: (chunks: readonly Uint8Array[], length: number) => void,
  ) {
    this.#file = file;
    this.#length = length;
    this.#onWritten = onWritten;
  }

  /** @throws what an earlier chunk failed with. */
  async push(chunk: Uint8Array): Promise<void> {
    this.#throwFailure();
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.byteLength;
    this.#writing ??= this.#write();
    if (this.#waitingBytes >= MAX_WAITING) await this.#writing;
    this.#throwFailure();
  }

  /** Resolves when all is in the file. @throws what a chunk failed with. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
  }

  /** Empties the file. */
  async truncate(): Promise<void> {
    await this.flush();
    await this.#file.truncate(0);
    this.#length = 0;
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const chunks = this.#waiting;
        this.#waiting = [];
        this.#waitingBytes = 0;
        await this.#writeAll(chunks);
        this.#onWritten(chunks, this.#length);
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#writing = undefined;
    }
  }

  async #writeAll(chunks: readonly Uint8Array[]): Promise<void> {
    let left = chunks;
    while (left.length > 0) {
      const { bytesWritten } = await this.#file.writev([...left], this.#length);
      this.#length += bytesWritten;
      left = behind(left, bytesWritten);
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** What is left of chunks behind so many bytes. */
function behind(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = bytes;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skipped, chunk.byteLength));
    skipped -= chunk.byteLength - rest.byteLength;
    return rest.byteLength > 0 ? [rest] : [];
  });
}
