import type { Readable } from "node:stream";

/**
 * The chunks of a stream as they came. Node's own iterator joins those that are waiting, which copies
 * each byte once more.
 */
export class ChunkQueue {
  readonly #stream: Readable;
  readonly #ahead: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "end" | undefined;
  #wake: (() => void) | undefined;

  /** @param ahead - of how many bytes the stream may be ahead of its reader, and a chunk more. */
  constructor(stream: Readable, ahead: number) {
    this.#stream = stream;
    this.#ahead = ahead;
    stream.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.byteLength;
      if (this.#bytes >= ahead) stream.pause();
      this.#wake?.();
    });
    stream.once("end", () => this.#finish("end"));
    stream.once("error", (error) => this.#finish({ error }));
    stream.once("close", () => this.#finish({ error: new PrematureClose() }));
  }

  /** The next chunk, if one is here. */
  take(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#bytes -= chunk.byteLength;
    if (this.#bytes < this.#ahead && this.#stream.isPaused()) this.#stream.resume();
    return chunk;
  }

  /** Waits until there is a chunk, or none will come. Rejects as the stream failed. */
  async isOver(): Promise<boolean> {
    while (this.#chunks.length === 0 && this.#end === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    if (this.#chunks.length > 0) return false;
    if (this.#end === "end" || this.#end === undefined) return true;
    throw this.#end.error;
  }

  #finish(end: { readonly error: unknown } | "end"): void {
    this.#end ??= end;
    this.#wake?.();
  }
}

/** A stream that was given up before its end. */
class PrematureClose extends Error {
  override readonly name = "PrematureClose";
  readonly code = "ERR_STREAM_PREMATURE_CLOSE";

  constructor() {
    super("the stream was closed before its end");
  }
}
