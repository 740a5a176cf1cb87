/**
 * Extended attributes of a name in an open directory, itself when it is a symbolic link.
 *
 * @module
 */
import { checkResult, cString, errnoOf, lastErrno, libcFunction } from "./libc.ts";

const lsetxattr = libcFunction<[Uint8Array, Uint8Array, Uint8Array, number, number]>("lsetxattr", [
  "pointer",
  "pointer",
  "pointer",
  "ulong",
  "int",
]);
const fsetxattr = libcFunction<[number, Uint8Array, Uint8Array, number, number]>("fsetxattr", [
  "int",
  "pointer",
  "pointer",
  "ulong",
  "int",
]);
const lgetxattr = libcFunction<[Uint8Array, Uint8Array, Uint8Array, number]>(
  "lgetxattr",
  ["pointer", "pointer", "pointer", "ulong"],
  "long",
);
const llistxattr = libcFunction<[Uint8Array, Uint8Array, number]>(
  "llistxattr",
  ["pointer", "pointer", "ulong"],
  "long",
);
const lremovexattr = libcFunction<[Uint8Array, Uint8Array]>("lremovexattr", ["pointer", "pointer"]);

// The kernel has no longer list and no longer value. One for all calls: nobody waits within one.
const answer = Buffer.alloc(65_536);

/**
 * Sets an attribute; answers 0 or the negated error number.
 *
 * @param name - Of one component, NUL-terminated; empty for the directory itself.
 */
export function trySetXattrAt(
  fd: number,
  name: Uint8Array,
  attribute: string | Uint8Array,
  value: Uint8Array,
): number {
  const result = lsetxattr(pathAt(fd, name), cString(attribute), value, value.length, 0);
  return result < 0 ? -lastErrno() : 0;
}

/** Sets an attribute of a file that is open for writing; answers 0 or the negated error number. */
export function trySetXattr(fd: number, attribute: Uint8Array, value: Uint8Array): number {
  return fsetxattr(fd, cString(attribute), value, value.length, 0) < 0 ? -lastErrno() : 0;
}

/** The value of an attribute; `undefined` when there is none. @throws {@link SystemError} */
export function getXattrAt(
  fd: number,
  name: Uint8Array,
  attribute: string | Uint8Array,
): Buffer | undefined {
  const length = lgetxattr(pathAt(fd, name), cString(attribute), answer, answer.length);
  if (length >= 0) return Buffer.from(answer.subarray(0, length));
  const errno = lastErrno();
  if (errno === errnoOf("ENODATA") || errno === errnoOf("EOPNOTSUPP")) return undefined;
  return Buffer.alloc(checkResult(length, "lgetxattr"));
}

/** The names of all attributes that this process may see. @throws {@link SystemError} */
export function listXattrsAt(fd: number, name: Uint8Array): readonly Buffer[] {
  const length = llistxattr(pathAt(fd, name), answer, answer.length);
  if (length < 0 && lastErrno() === errnoOf("EOPNOTSUPP")) return [];
  checkResult(length, "llistxattr");
  const names: Buffer[] = [];
  for (let start = 0; start < length;) {
    const end = answer.indexOf(0, start);
    names.push(Buffer.from(answer.subarray(start, end)));
    start = end + 1;
  }
  return names;
}

/** Removes an attribute, if it is there. @throws {@link SystemError} */
export function removeXattrAt(fd: number, name: Uint8Array, attribute: string | Uint8Array): void {
  const result = lremovexattr(pathAt(fd, name), cString(attribute));
  if (result < 0 && lastErrno() !== errnoOf("ENODATA")) checkResult(result, "lremovexattr");
}

function pathAt(fd: number, name: Uint8Array): Buffer {
  // A descriptor itself is a magic link that must be followed: "/." does, for a directory.
  const directory = Buffer.from(`/proc/self/fd/${fd}/`);
  return Buffer.concat([directory, name[0] === 0 ? Buffer.from(".\0") : name]);
}
