/**
 * The inflater of Intel's storage library, where the host has it: it takes a third of the time of
 * zlib's.
 *
 * @module
 */
import koffi from "koffi";

/** What one call of {@link Inflater.inflate} came to. */
export interface Inflated {
  /** Bytes of the input that were taken. */
  readonly taken: number;
  /** Bytes of the output that were filled. */
  readonly filled: number;
  /** Whether the member has ended, its checksum and length verified. */
  readonly isEnd: boolean;
}

/** Inflates one gzip member after another. */
export interface Inflater {
  /**
   * Goes on with the member until the input is used up, the output is full, or the member ends.
   *
   * @throws {@link InflateError} when the member is broken.
   */
  inflate(input: Buffer, output: Buffer): Inflated;
  /** Begins a new member. */
  reset(): void;
}

/** A gzip member that can not be inflated. */
export class InflateError extends Error {
  override readonly name = "InflateError";
}

interface Library {
  readonly init: (state: Buffer) => void;
  readonly inflate: (state: Buffer) => number;
}

// `struct inflate_state` of igzip_lib.h, the same from version 2.21 to 2.31 on 64-bit machines.
const STATE_BYTES = 128 * 1024;
const NEXT_OUT = 0;
const AVAIL_OUT = 8;
const NEXT_IN = 16;
const AVAIL_IN = 32;
const BLOCK_STATE = 21_160;
const CRC_FLAG = 21_172;
const GZIP = 1;
const FINISHED = 5;
const FAULTS: Readonly<Record<number, string>> = {
  [-1]: "invalid block",
  [-2]: "invalid symbol",
  [-3]: "invalid distance",
  [-4]: "invalid header",
  [-5]: "unsupported method",
  [-6]: "incorrect checksum",
};
// "stowage", packed: what a library of another layout would not unpack to the same.
const PROBE = Buffer.from("H4sIAAAAAAACAysuyS9PTE8FAAbrpGMHAAAA", "base64");
const PROBE_TEXT = "stowage";

let found: Library | false | undefined;

/** An inflater, or nothing where the library is not installed or is not as expected. */
export function createInflater(): Inflater | undefined {
  found ??= loadLibrary() ?? false;
  return found === false ? undefined : inflaterOf(found);
}

function loadLibrary(): Library | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  let library: Library;
  try {
    const handle = koffi.load("libisal.so.2");
    library = {
      init: handle.func("isal_inflate_init", "void", ["void *"]) as Library["init"],
      inflate: handle.func("isal_inflate", "int", ["void *"]) as Library["inflate"],
    };
  } catch {
    return undefined;
  }
  return isAsExpected(library) ? library : undefined;
}

function isAsExpected(library: Library): boolean {
  try {
    const output = Buffer.alloc(64);
    const { taken, filled, isEnd } = inflaterOf(library).inflate(PROBE, output);
    return isEnd && taken === PROBE.length && output.toString("utf8", 0, filled) === PROBE_TEXT;
  } catch {
    return false;
  }
}

function inflaterOf(library: Library): Inflater {
  const state = Buffer.alloc(STATE_BYTES);
  const reset = (): void => {
    library.init(state);
    state.writeUInt32LE(GZIP, CRC_FLAG);
  };
  reset();
  return {
    reset,
    inflate(input, output) {
      state.writeBigUInt64LE(koffi.address(input), NEXT_IN);
      state.writeUInt32LE(input.length, AVAIL_IN);
      state.writeBigUInt64LE(koffi.address(output), NEXT_OUT);
      state.writeUInt32LE(output.length, AVAIL_OUT);
      const result = library.inflate(state);
      if (result !== 0) throw new InflateError(FAULTS[result] ?? `failure ${result}`);
      return {
        taken: input.length - state.readUInt32LE(AVAIL_IN),
        filled: output.length - state.readUInt32LE(AVAIL_OUT),
        isEnd: state.readUInt32LE(BLOCK_STATE) === FINISHED,
      };
    },
  };
}
