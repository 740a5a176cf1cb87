import { StoreError } from "../store-error.ts";
import { InflateError, type Inflater } from "../linux/isal.ts";
import type { ChunkSink } from "./chunk-sink.ts";
import { GzipEnd } from "./gzip-end.ts";

const MAGIC_BYTES = 4;
const FLAGS = 3;
const RESERVED_FLAGS = 0xe0;

/**
 * Unpacks the members of a gzip stream with a given inflater, and judges it as zlib does: what may
 * stand behind a member is for {@link GzipEnd} to say.
 *
 * @throws {@link StoreError} `ERR_STORE_DECOMPRESS`
 */
export function gunzipMembers(inflater: Inflater, chunks: Iterable<Buffer>, sink: ChunkSink): void {
  const end = new GzipEnd();
  let state: "between" | "member" | "padding" = "between";
  let consumed = 0;
  let headerBytes = 0;
  for (const chunk of chunks) {
    end.note(chunk);
    for (let rest = chunk; state !== "padding";) {
      if (state === "between") {
        if (rest.length === 0) break;
        if (rest[0] === 0 && consumed > 0) {
          state = "padding";
          break;
        }
        inflater.reset();
        state = "member";
        headerBytes = 0;
      }
      headerBytes = checkFlags(rest, headerBytes);
      const output = sink.reserve();
      const { taken, filled, isEnd } = inflate(inflater, rest, output);
      if (filled > 0) sink.commit(filled);
      consumed += taken;
      rest = rest.subarray(taken);
      if (isEnd) state = "between";
      // With room left in the output, there is nothing more to come of this input.
      else if (filled < output.length) break;
    }
  }
  if (state === "member") throw broken("unexpected end of file");
  end.check(consumed);
}

/** zlib refuses flags that it does not know, where the library passes over them. */
function checkFlags(bytes: Buffer, seen: number): number {
  if (seen >= MAGIC_BYTES) return seen;
  const flags = bytes[FLAGS - seen];
  if (flags !== undefined && (flags & RESERVED_FLAGS) !== 0) throw broken("unknown header flags");
  return seen + bytes.length;
}

function inflate(
  inflater: Inflater,
  input: Buffer,
  output: Buffer,
): ReturnType<Inflater["inflate"]> {
  try {
    return inflater.inflate(input, output);
  } catch (cause) {
    if (cause instanceof InflateError) throw broken(cause.message, cause);
    throw cause;
  }
}

function broken(message: string, cause?: Error): StoreError {
  return new StoreError("ERR_STORE_DECOMPRESS", `the gzip stream is broken: ${message}`, { cause });
}
