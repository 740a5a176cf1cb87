/**
 * Node's own decompressor of zstd, called directly: by way of `node:zlib` it takes a turn of another
 * thread for each block of 128 KiB. Not a library of the host: one of another version accepts other
 * streams, and would be mixed up with Node's, whose functions have the same names.
 *
 * @module
 */
import koffi from "koffi";

/** What one call of {@link ZstdDecompressor.decompress} came to. */
export interface Decompressed {
  /** Bytes of the input that were taken. */
  readonly taken: number;
  /** Bytes of the output that were filled. */
  readonly filled: number;
  /** Whether the frame has ended, its checksum verified if it has one. */
  readonly isEnd: boolean;
}

/** Decompresses one frame after another. */
export interface ZstdDecompressor extends Disposable {
  /**
   * Goes on with the frame until the input is used up, the output is full, or the frame ends.
   *
   * @throws {@link ZstdError} when the frame is broken.
   */
  decompress(input: Buffer, output: Buffer): Decompressed;
  /** Begins a new frame. */
  reset(): void;
}

/** A frame that can not be decompressed. */
export class ZstdError extends Error {
  override readonly name = "ZstdError";
}

interface Library {
  readonly create: () => unknown;
  readonly free: (context: unknown) => number;
  readonly setParameter: (context: unknown, parameter: number, value: number) => number;
  readonly reset: (context: unknown, directive: number) => number;
  readonly decompress: (context: unknown, output: Buffer, input: Buffer) => number;
  readonly errorName: (code: number) => string;
}

// Of zstd.h; all stable since version 1.4.0, of 2019.
const WINDOW_LOG_MAX_PARAMETER = 100;
const SESSION_ONLY = 1;
/** `struct ZSTD_inBuffer` and `ZSTD_outBuffer`: an address, a size and a position. */
const BUFFER_BYTES = 24;
const SIZE = 8;
const POSITION = 16;

let found: Library | false | undefined;

/**
 * A decompressor, or nothing where this Node keeps its own to itself.
 *
 * @param windowLogMax - The most memory that a frame may want, as a power of two.
 */
export function createZstdDecompressor(windowLogMax: number): ZstdDecompressor | undefined {
  found ??= loadLibrary() ?? false;
  return found === false ? undefined : decompressorOf(found, windowLogMax);
}

function loadLibrary(): Library | undefined {
  if (process.platform !== "linux" || !["arm64", "x64"].includes(process.arch)) return undefined;
  try {
    const handle = koffi.load(null);
    const version = handle.func("ZSTD_versionNumber", "uint", []) as () => number;
    if (versionText(version()) !== process.versions["zstd"]) return undefined;
    // Results are sizes, or error numbers that are negative as signed numbers.
    return {
      create: handle.func("ZSTD_createDCtx", "void *", []) as Library["create"],
      free: handle.func("ZSTD_freeDCtx", "int64", ["void *"]) as Library["free"],
      setParameter: handle.func("ZSTD_DCtx_setParameter", "int64", [
        "void *",
        "int",
        "int",
      ]) as Library["setParameter"],
      reset: handle.func("ZSTD_DCtx_reset", "int64", ["void *", "int"]) as Library["reset"],
      decompress: handle.func("ZSTD_decompressStream", "int64", [
        "void *",
        "void *",
        "void *",
      ]) as Library["decompress"],
      errorName: handle.func("ZSTD_getErrorName", "const char *", [
        "int64",
      ]) as Library["errorName"],
    };
  } catch {
    return undefined;
  }
}

/** As the library puts it into a number. */
function versionText(version: number): string {
  return [version / 10_000, (version / 100) % 100, version % 100].map(Math.floor).join(".");
}

function decompressorOf(library: Library, windowLogMax: number): ZstdDecompressor | undefined {
  const context = library.create();
  if (context === null) return undefined;
  if (library.setParameter(context, WINDOW_LOG_MAX_PARAMETER, windowLogMax) < 0) {
    library.free(context);
    return undefined;
  }
  const source = Buffer.alloc(BUFFER_BYTES);
  const target = Buffer.alloc(BUFFER_BYTES);
  return {
    reset: () => void library.reset(context, SESSION_ONLY),
    decompress(input, output) {
      describe(source, input);
      describe(target, output);
      const left = library.decompress(context, target, source);
      if (left < 0) throw new ZstdError(library.errorName(left));
      const taken = Number(source.readBigUInt64LE(POSITION));
      const filled = Number(target.readBigUInt64LE(POSITION));
      return { taken, filled, isEnd: left === 0 };
    },
    [Symbol.dispose]: () => void library.free(context),
  };
}

function describe(struct: Buffer, bytes: Buffer): void {
  struct.writeBigUInt64LE(koffi.address(bytes));
  struct.writeBigUInt64LE(BigInt(bytes.length), SIZE);
  struct.writeBigUInt64LE(0n, POSITION);
}
