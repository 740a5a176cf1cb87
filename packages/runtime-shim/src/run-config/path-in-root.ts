/**
 * Paths inside a container's root file system, which its image made and may mean harm with.
 *
 * @module
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";

const MAX_LINKS = 40;

/**
 * Where `path` leads if `root` is `/`: every link followed inside `root`, and none left in the result.
 * What is not there is kept as it is written.
 *
 * @returns an absolute path as the container would see it.
 * @throws {@link RuntimeError} `ERR_RUNTIME_UNSAFE_ROOT` after 40 links.
 */
export async function resolveInRoot(root: string, path: string): Promise<string> {
  const resolved: string[] = [];
  const pending = path.split("/");
  for (let links = 0; pending.length > 0;) {
    const name = pending.shift() ?? "";
    if (name === "" || name === ".") continue;
    if (name === "..") {
      resolved.pop();
      continue;
    }
    const target = await readLink(join(root, ...resolved, name));
    if (target === undefined) {
      resolved.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw unsafe(path, `more than ${MAX_LINKS} links`);
    if (target.startsWith("/")) resolved.length = 0;
    pending.unshift(...target.split("/"));
  }
  return `/${resolved.join("/")}`;
}

/**
 * Reads a regular file inside `root`.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_UNSAFE_ROOT` if it is none or longer than `maxBytes`,
 *   before anything is read; the system's `ENOENT` if it is not there.
 */
export async function readFileInRoot(
  root: string,
  path: string,
  maxBytes: number,
): Promise<Buffer> {
  const names = (await resolveInRoot(root, path)).split("/").filter((name) => name !== "");
  await using file = await openWithoutLinks(root, names, path);
  const stat = await file.stat();
  if (!stat.isFile()) throw unsafe(path, "not a regular file");
  const bytes = Buffer.alloc(maxBytes + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  if (length > maxBytes) throw unsafe(path, `longer than ${maxBytes} bytes`);
  return bytes.subarray(0, length);
}

/**
 * Throws unless each of `paths` is a directory in `root`, or is not there: a runtime that mounts over
 * a link of the image's may be led astray, and one that notices says so in words of its own.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_UNSAFE_ROOT`
 */
export async function requireDirectories(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const stat = await lstat(join(root, path)).catch((error: unknown) => {
      if (hasErrorCode(error, "ENOENT")) return undefined;
      throw error;
    });
    if (stat === undefined || stat.isDirectory()) continue;
    const what = stat.isSymbolicLink() ? "a link" : "no directory";
    throw unsafe(path, `is ${what} in the image, and would be mounted over`);
  }
}

// Component by component, so that a link which appears after the path was resolved is refused.
async function openWithoutLinks(
  root: string,
  names: readonly string[],
  path: string,
): Promise<FileHandle> {
  let directory = await open(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const [index, name] of names.entries()) {
      const kind = index < names.length - 1 ? constants.O_DIRECTORY : constants.O_NONBLOCK;
      const next = await open(
        `/proc/self/fd/${directory.fd}/${name}`,
        constants.O_RDONLY | constants.O_NOFOLLOW | kind,
      );
      await directory.close();
      directory = next;
    }
    return directory;
  } catch (cause) {
    await directory.close();
    if (hasErrorCode(cause, "ELOOP", "ENXIO")) throw unsafe(path, "not a regular file", cause);
    throw cause;
  }
}

async function readLink(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (hasErrorCode(error, "EINVAL", "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function unsafe(path: string, why: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    "ERR_RUNTIME_UNSAFE_ROOT",
    `${escapeText(path)} in the container: ${why}`,
    { cause },
  );
}
