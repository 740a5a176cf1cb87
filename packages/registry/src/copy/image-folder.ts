/**
 * One image in a folder without an index of names, as skopeo's `dir:` has it: `manifest.json`, the
 * manifests that it names as `HEX.manifest.json`, and blobs as `HEX`.
 *
 * @see https://github.com/containers/image/blob/v5.36.0/docs/containers-transports.5.md
 * @module
 */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";

import {
  algorithmOf,
  type ByteSource,
  type Descriptor,
  type Digest,
  encodedOf,
  type FetchedManifest,
  hasErrorCode,
  MAX_MANIFEST_BYTES,
  parseManifest,
  verifyContent,
} from "@stowage/content";

import { acquireFileLock } from "../file-lock.ts";
import { RegistryError } from "../registry-error.ts";
import type { TransportOptions } from "../transport.ts";
import { isWhole, readBlob, syncFolder } from "./blob-file.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";
import { writeDurably } from "./durable-file.ts";
import { fileFailure, guarded, requireSource } from "./file-failure.ts";
import type { LayoutFolderOptions } from "./layout-folder.ts";
import { invalidLayout } from "./oci-layout.ts";
import { makeFolders } from "../make-folders.ts";
import { isPartialName, removeDeadPartials } from "../partial-file.ts";

const MANIFEST_FILE = "manifest.json";
const VERSION_FILE = "version";
const VERSION = "Directory Transport Version: 1.1\n";
const LOCK_FILE = ".stowage.lock";
// What makes up an image here, and nothing else that somebody may keep beside it.
const OWN = /^(?:(?:sha512-)?[0-9a-f]{64,128}(?:\.manifest\.json|\.signature-\d+)?|signature-\d+)$/;

// A policy does not look at more.
const MAX_SIGNATURES = 128;

/**
 * The image of a folder of skopeo's `dir:`, with the signatures that lie beside it.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if the folder holds none,
 *   `ERR_REGISTRY_NOT_FOUND` if there is no folder.
 */
export async function openImageFolder(path: string): Promise<CopySource> {
  const bytes = await readSmallFile(join(path, MANIFEST_FILE));
  if (bytes === undefined) {
    await requireSource(path);
    throw invalidLayout(path, `it is no image folder: no ${MANIFEST_FILE}`);
  }
  const root = parseManifest(bytes);
  const fetchManifest = async (
    { digest, mediaType }: Descriptor,
    options?: TransportOptions,
  ): Promise<FetchedManifest> => {
    if (digest === root.descriptor.digest) return root;
    const file = join(path, `${nameOf(digest)}.manifest.json`);
    const found: Uint8Array[] = [];
    for await (const chunk of limited(readBlob(file, digest, options), file)) found.push(chunk);
    return parseManifest(Buffer.concat(found), mediaType, digest);
  };
  return {
    name: `dir:${path}`,
    fetchRoot: async () => root,
    fetchManifest,
    openContent: ({ digest }, options) => readBlob(join(path, nameOf(digest)), digest, options),
    signatureFiles: (manifest, options) => {
      const own = manifest === root.descriptor.digest ? "" : `${nameOf(manifest)}.`;
      return readSignatures(join(path, `${own}signature-`), options);
    },
    async *referrers() {},
    findTag: async () => undefined,
    async [Symbol.asyncDispose]() {},
  };
}

/** The files `signature-1` and so on, up to the first that is not there. */
async function readSignatures(
  prefix: string,
  options?: TransportOptions,
): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = [];
  for (;;) {
    const bytes = await readSmallFile(`${prefix}${found.length + 1}`, options);
    if (bytes === undefined) return found;
    if (found.length === MAX_SIGNATURES) {
      const what = `${prefix}*: more than ${MAX_SIGNATURES} of them`;
      throw new RegistryError("ERR_REGISTRY_TOO_LARGE", what);
    }
    found.push(bytes);
  }
}

/**
 * A place for one image in a folder, which is made if it is not there. Blobs are verified and synced
 * before they get their names; `manifest.json` comes last, and what belonged to an image before goes
 * then. One writer at a time.
 */
export function imageFolderDestination(
  path: string,
  { lockTimeout: timeout }: LayoutFolderOptions = {},
): CopyDestination {
  const taken = new Set<string>();
  let lock: Promise<AsyncDisposable> | undefined;
  let root: FetchedManifest | undefined;
  const begin = async (signal: AbortSignal | undefined): Promise<void> => {
    lock ??= prepare(path, { signal, timeout });
    await lock;
  };
  const take = async (
    name: string,
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<"existed" | "uploaded"> => {
    taken.add(name);
    const file = join(path, name);
    if (await isWhole(file, { digest, size })) return "existed";
    await writeDurably(file, verifyContent(source(), { digest, size }), onProgress);
    return "uploaded";
  };
  return {
    name: `dir:${path}`,
    async writeBlob(descriptor, provider, { signal, onProgress } = {}) {
      await begin(signal);
      const source = (): ByteSource => provider.openContent(descriptor, { signal });
      return take(nameOf(descriptor.digest), descriptor, source, onProgress);
    },
    async writeManifest(manifest, { root: isRoot = false, tag, signal } = {}) {
      await begin(signal);
      if (tag !== undefined) throw invalidLayout(path, "an image folder has no place for tags");
      if (isRoot) {
        root = manifest;
        return;
      }
      const { descriptor, bytes } = manifest;
      await take(`${nameOf(descriptor.digest)}.manifest.json`, descriptor, () => once(bytes));
    },
    async commit({ signal } = {}) {
      signal?.throwIfAborted();
      if (root === undefined) throw invalidLayout(path, "no image was written");
      await guarded(path, () => syncFolder(path));
      const before = await guarded(path, () => readdir(path));
      const stale = before.filter((name) => OWN.test(name) && !taken.has(name));
      // No signature may lie beside a manifest that it is not of, not even after a crash.
      for (const name of stale.filter((one) => one.includes("signature-")))
        await remove(path, name);
      await writeDurably(join(path, MANIFEST_FILE), once(root.bytes));
      await guarded(path, () => syncFolder(path));
      for (const name of stale) await remove(path, name);
    },
    async [Symbol.asyncDispose]() {
      // Whoever could not take it was told so.
      const held = await lock?.catch(() => undefined);
      await held?.[Symbol.asyncDispose]();
    },
  };
}

/** Makes the folder, and keeps others from writing into it. */
async function prepare(
  path: string,
  options: { readonly signal: AbortSignal | undefined; readonly timeout: number | undefined },
): Promise<AsyncDisposable> {
  return guarded(path, async () => {
    await makeFolders(path);
    // Another copy that begins may be about to take the lock.
    const names = (await readdir(path)).filter((name) => !isPartialName(name));
    const isOurs = [LOCK_FILE, VERSION_FILE].some((name) => names.includes(name));
    // Somebody's documents, say; what is in them is not ours to judge.
    if (names.length > 0 && !isOurs) {
      throw invalidLayout(path, "it holds other things than an image");
    }
    const lock = await acquireFileLock(join(path, LOCK_FILE), options);
    try {
      await removeDeadPartials(path);
      await writeDurably(join(path, VERSION_FILE), once(Buffer.from(VERSION)));
      return lock;
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  });
}

/** A file as long as a manifest may be; `undefined` if there is none. */
async function readSmallFile(
  file: string,
  options?: TransportOptions,
): Promise<Uint8Array | undefined> {
  const found: Uint8Array[] = [];
  try {
    const bytes = readBlob(file, basename(file), options);
    for await (const chunk of limited(bytes, file)) found.push(chunk);
    return Buffer.concat(found);
  } catch (error) {
    if (hasErrorCode(error, "ERR_CONTENT_NOT_FOUND")) return undefined;
    throw error;
  }
}

async function* limited(source: ByteSource, where: string): ByteSource {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    if (size > MAX_MANIFEST_BYTES) {
      const what = `${where}: more than ${MAX_MANIFEST_BYTES} bytes`;
      throw new RegistryError("ERR_REGISTRY_TOO_LARGE", what);
    }
    yield chunk;
  }
}

async function remove(path: string, name: string): Promise<void> {
  try {
    await rm(join(path, name), { force: true });
  } catch (error) {
    throw fileFailure(error, join(path, name));
  }
}

function nameOf(digest: Digest): string {
  const algorithm = algorithmOf(digest);
  return algorithm === "sha256" ? encodedOf(digest) : `${algorithm}-${encodedOf(digest)}`;
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
