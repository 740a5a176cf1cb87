/**
 * The door to the C library: system calls that Node does not offer.
 *
 * Nothing is loaded before the first call, so that importing the package works on any system.
 *
 * @module
 */
import koffi, { type LibraryHandle } from "koffi";

/** What a function of the C library takes here: numbers, 64-bit numbers and memory. */
export type NativeArgument = number | bigint | Uint8Array | null;

/** The C types in use; `pointer` takes a Buffer or `null`. */
export type NativeType = "int" | "uint" | "long" | "ulong" | "int64" | "uint64" | "pointer";

/** An error of a system call, shaped as Node's own are. */
export interface SystemError extends Error {
  /** The name of the error number, such as `ENOENT`. */
  readonly code: string;
  /** The error number, negated as Node does. */
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

/** A function of the C library; answers what C answered, normally -1 for an error. */
export interface NativeFunction<Arguments extends readonly NativeArgument[]> {
  (...args: Arguments): number;
  /** The same on a thread of the pool; throws a {@link SystemError} where the result is negative. */
  readonly inBackground: (path: string | undefined, ...args: Arguments) => Promise<number>;
}

const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];

let libc: LibraryHandle | undefined;

/**
 * The error number of the last failed call. It is read in the function that made the call and with
 * nothing between: where a function of JavaScript begins or ends, V8 may compile or collect, and a
 * lock that it waits for leaves its own EAGAIN in the thread's `errno`.
 */
let failure = 0;

/**
 * Describes a function of the C library, which is looked up when it is first called.
 *
 * Variadic functions may be described with the arguments that a caller gives, since the Linux
 * calling conventions pass integers and pointers alike in both forms.
 *
 * @param symbol - Its name, `syscall` for a system call without one.
 */
export function libcFunction<const Arguments extends readonly NativeArgument[]>(
  symbol: string,
  types: readonly NativeType[],
  result: "int" | "long" = "int",
): NativeFunction<Arguments> {
  let bound: ReturnType<LibraryHandle["func"]> | undefined;
  const bind = (): NonNullable<typeof bound> =>
    (bound ??= loadLibc().func(
      symbol,
      result,
      types.map((type) => (type === "pointer" ? "const void *" : type)),
    ));
  const call = (...args: Arguments): number => {
    const answer = (bound ?? bind())(...args);
    if (answer < 0) failure = koffi.errno();
    return Number(answer);
  };
  const inBackground = (path: string | undefined, ...args: Arguments): Promise<number> =>
    new Promise((resolve, reject) => {
      bind().async(...args, (refusal: unknown, answer: number | bigint) => {
        failure = koffi.errno();
        if (refusal) reject(refusal);
        else if (answer < 0) reject(systemError(symbol, path));
        else resolve(Number(answer));
      });
    });
  return Object.assign(call, { inBackground });
}

/** The error number of this thread's last failed call through here. */
export function lastErrno(): number {
  return failure;
}

/** The number of an error, as `errnoOf("ENOENT")`. */
export function errnoOf(code: string): number {
  return koffi.os.errno[code] ?? 0;
}

/**
 * The error of this thread's last failed call.
 *
 * @param path - Shown in the message; bytes that are no text are escaped.
 */
export function systemError(
  syscall: string,
  path?: string | Uint8Array,
  errno: number = failure,
): SystemError {
  const code = codeOf(errno);
  const shown = path === undefined ? undefined : showPath(path);
  const error = new Error(`${code}: ${syscall}${shown === undefined ? "" : ` '${shown}'`}`);
  return Object.assign(error, {
    code,
    errno: -errno,
    syscall,
    ...(shown === undefined ? {} : { path: shown }),
  });
}

/**
 * Passes on the result of a call.
 *
 * @throws {@link SystemError} When it is negative.
 */
export function checkResult(result: number, syscall: string, path?: string | Uint8Array): number {
  if (result < 0) throw systemError(syscall, path);
  return result;
}

/**
 * A name as C takes it: bytes that end in NUL.
 *
 * @throws TypeError When the name has a NUL of its own.
 */
export function cString(name: string | Uint8Array): Buffer {
  const bytes = typeof name === "string" ? Buffer.from(name) : name;
  if (bytes.includes(0)) throw new TypeError(`a name has a NUL byte: ${showPath(bytes)}`);
  const ended = Buffer.allocUnsafe(bytes.length + 1);
  ended.set(bytes);
  ended[bytes.length] = 0;
  return ended;
}

function loadLibc(): LibraryHandle {
  if (libc) return libc;
  if (process.platform !== "linux") {
    throw new Error("the store's layers need Linux: they are made and mounted by its system calls");
  }
  const failures: unknown[] = [];
  for (const name of LIBRARIES) {
    try {
      return (libc = koffi.load(name));
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no C library found: tried ${LIBRARIES.join(", ")}`);
}

let codes: ReadonlyMap<number, string> | undefined;

function codeOf(errno: number): string {
  codes ??= new Map(
    Object.entries(koffi.os.errno)
      .toReversed()
      .map(([name, number]) => [number, name]),
  );
  return codes.get(errno) ?? `E${errno}`;
}

function showPath(path: string | Uint8Array): string {
  const text = typeof path === "string" ? path : Buffer.from(path).toString("latin1");
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u00a0\u2028\u2029]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
