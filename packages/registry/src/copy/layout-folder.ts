import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import {
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  hasErrorCode,
  verifyContent,
} from "@stowage/content";

import { acquireFileLock } from "../file-lock.ts";
import { isWhole, readBlob, syncFolder } from "./blob-file.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";
import { writeDurably } from "./durable-file.ts";
import { fileFailure, guarded, requireSource } from "./file-failure.ts";
import {
  addToIndex,
  blobFile,
  formatLayoutIndex,
  INDEX_FILE,
  indexEntry,
  invalidLayout,
  LAYOUT_DOCUMENT,
  LAYOUT_FILE,
  layoutSource,
  parseLayoutIndex,
} from "./oci-layout.ts";
import { makeFolders } from "../make-folders.ts";
import { removeDeadPartials } from "../partial-file.ts";

/** How a layout is written. */
export interface LayoutFolderOptions {
  /** Milliseconds to wait for others who write `index.json`. @defaultValue 30_000 */
  readonly lockTimeout?: number | undefined;
}

/**
 * An image of an OCI layout in a folder.
 *
 * @param name - as `org.opencontainers.image.ref.name` has it; the only image unless given.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if the folder holds none,
 *   `ERR_REGISTRY_NOT_FOUND` if there is no folder.
 */
export async function openLayoutFolder(path: string, name?: string): Promise<CopySource> {
  const bytes = await readLayoutFile(path, INDEX_FILE);
  if (bytes === undefined) {
    await requireSource(path);
    throw invalidLayout(path, "it is no OCI image layout: no index.json");
  }
  const index = parseLayoutIndex(bytes, path);
  const content: ContentProvider = {
    openContent: ({ digest }, options) => readBlob(join(path, blobFile(digest)), digest, options),
  };
  const shown = `oci:${path}${name === undefined ? "" : `:${name}`}`;
  return { ...layoutSource(shown, index, content, name), async [Symbol.asyncDispose]() {} };
}

/**
 * A place in an OCI layout in a folder, which is made if it is not there. Blobs are verified and
 * synced before they get their names; `index.json` is replaced at once, under a lock.
 */
export function layoutFolderDestination(
  path: string,
  name?: string,
  options: LayoutFolderOptions = {},
): CopyDestination {
  const { lockTimeout } = options;
  const entries: (readonly [descriptor: Descriptor, name: string | undefined])[] = [];
  const folders = new Set<string>();
  let cleared: Promise<void> | undefined;
  const take = async (
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<"existed" | "uploaded"> => {
    await (cleared ??= clearPartials(path));
    const file = join(path, blobFile(digest));
    if (await isWhole(file, { digest, size })) return "existed";
    await guarded(file, () => makeFolders(dirname(file)));
    folders.add(dirname(file));
    await writeDurably(file, verifyContent(source(), { digest, size }), onProgress);
    return "uploaded";
  };
  return {
    name: `oci:${path}${name === undefined ? "" : `:${name}`}`,
    writeBlob: (descriptor, provider, { signal, onProgress } = {}) =>
      take(descriptor, () => provider.openContent(descriptor, { signal }), onProgress),
    async writeManifest(manifest, { root = false, tag } = {}) {
      await take(manifest.descriptor, () => once(manifest.bytes));
      const entry = indexEntry(manifest);
      if (root) entries.push([entry, name]);
      else if (tag !== undefined) entries.push([entry, tag]);
      else if (entry.artifactType !== undefined) entries.push([entry, undefined]);
    },
    async commit({ signal } = {}) {
      for (const folder of [...folders, path]) await guarded(folder, () => syncFolder(folder));
      await using _lock = await acquireFileLock(join(path, `.${INDEX_FILE}.lock`), {
        signal,
        timeout: lockTimeout,
      });
      const before = parseLayoutIndex(await readLayoutFile(path, INDEX_FILE), path);
      const after = entries.reduce((index, [entry, as]) => addToIndex(index, entry, as), before);
      if ((await readLayoutFile(path, LAYOUT_FILE)) === undefined) {
        await writeDurably(join(path, LAYOUT_FILE), once(Buffer.from(LAYOUT_DOCUMENT)));
      }
      await writeDurably(join(path, INDEX_FILE), once(formatLayoutIndex(after)));
      await guarded(path, () => syncFolder(path));
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** Removes what copies that were killed left. */
async function clearPartials(path: string): Promise<void> {
  for (const folder of ["", "blobs/sha256", "blobs/sha512"]) {
    await removeDeadPartials(join(path, folder));
  }
}

async function readLayoutFile(path: string, name: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(join(path, name));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw fileFailure(error, join(path, name));
  }
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
