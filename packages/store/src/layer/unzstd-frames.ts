import { type Decompressed, type ZstdDecompressor, ZstdError } from "../linux/node-zstd.ts";
import { StoreError } from "../store-error.ts";
import type { ChunkSink } from "./chunk-sink.ts";
import { splitZstdFrames } from "./zstd-frames.ts";

/**
 * Unpacks the frames of a zstd stream with a given decompressor. What is a stream, and what may stand
 * in it, is for {@link splitZstdFrames} to say.
 *
 * @throws {@link StoreError} `ERR_STORE_DECOMPRESS`, `ERR_STORE_LIMIT_EXCEEDED`
 */
export function unzstdFrames(
  decompressor: ZstdDecompressor,
  chunks: Iterable<Buffer>,
  sink: ChunkSink,
  maxFrames: number,
): void {
  for (const frame of splitZstdFrames(chunks, maxFrames)) {
    decompressor.reset();
    let hasEnded = false;
    for (const chunk of frame) {
      if (hasEnded) throw broken("a frame that ends before its last block");
      hasEnded = unzstd(decompressor, chunk, sink);
    }
    if (!hasEnded) throw broken("a frame that does not end with its last block");
  }
}

/** Takes all of a piece of a frame; answers whether that was the last. */
function unzstd(decompressor: ZstdDecompressor, chunk: Buffer, sink: ChunkSink): boolean {
  for (let rest = chunk; ;) {
    const output = sink.reserve();
    const { taken, filled, isEnd } = decompress(decompressor, rest, output);
    if (filled > 0) sink.commit(filled);
    rest = rest.subarray(taken);
    if (isEnd && rest.length > 0) throw broken("a frame that ends before its last block");
    // With room left in the output, there is nothing more to come of this input.
    if (isEnd || (rest.length === 0 && filled < output.length)) return isEnd;
    if (taken === 0 && filled === 0) throw broken("a frame that goes nowhere");
  }
}

function decompress(decompressor: ZstdDecompressor, input: Buffer, output: Buffer): Decompressed {
  try {
    return decompressor.decompress(input, output);
  } catch (cause) {
    if (cause instanceof ZstdError) throw broken(cause.message, cause);
    throw cause;
  }
}

function broken(message: string, cause?: Error): StoreError {
  return new StoreError("ERR_STORE_DECOMPRESS", `the zstd stream is broken: ${message}`, { cause });
}
