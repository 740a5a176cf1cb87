/**
 * Images of tar archives: OCI layouts, and what `docker save` writes.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";

import {
  type ByteSource,
  ContentError,
  type ContentProvider,
  type OpenContentOptions,
} from "@stowage/content";

import type { CopySource } from "./copy-place.ts";
import { buildDockerLayout } from "./docker-manifest.ts";
import { isSameDockerName } from "./docker-name.ts";
import { guarded } from "./file-failure.ts";
import {
  blobFile,
  INDEX_FILE,
  invalidLayout,
  layoutSource,
  MAX_INDEX_BYTES,
  parseLayoutIndex,
} from "./oci-layout.ts";
import { type ArchivedFile, indexTar, readAt, type TarIndex } from "./tar-index.ts";

/** What an archive is taken for, where it is both: they differ in the names of images. */
export type ArchiveKind = "docker-archive" | "oci-archive";

/** An archive that is open for reading. */
export interface OpenedArchive {
  /** As people know it, for messages. */
  readonly where: string;
  readonly files: TarIndex;
  /** A small file, whole; `undefined` if there is none. */
  readSmall(name: string): Promise<Uint8Array | undefined>;
  read(file: ArchivedFile, options?: OpenContentOptions): ByteSource;
}

const READ_BYTES = 256 * 1024;

/**
 * Finds out what is where in an archive. The file stays the caller's.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if it is no tar archive.
 */
export async function readArchive(file: FileHandle, where: string): Promise<OpenedArchive> {
  const files = await guarded(where, () => indexTar(file, where));
  return {
    where,
    files,
    async readSmall(name) {
      const found = files.get(name);
      if (found === undefined) return undefined;
      if (found.size > MAX_INDEX_BYTES) throw invalidLayout(where, `its ${name} is too long`);
      return readAt(file, found.offset, found.size);
    },
    read: (found, options) => readFrom(file, where, found, options),
  };
}

/**
 * One image of an archive.
 *
 * @param shown - as people write the place.
 * @param wanted - the name within; the only image unless given.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT`
 */
export async function archiveSource(
  kind: ArchiveKind,
  archive: OpenedArchive,
  shown: string,
  wanted: string | undefined,
): Promise<Omit<CopySource, typeof Symbol.asyncDispose>> {
  const { where, files } = archive;
  const isNamed = kind === "docker-archive" ? isSameDockerName : undefined;
  const bytes = await archive.readSmall(INDEX_FILE);
  if (bytes === undefined) {
    if (kind === "oci-archive") throw invalidLayout(where, "it holds no OCI layout: no index.json");
    const { index, content } = await buildDockerLayout(archive);
    return layoutSource(shown, index, content, wanted, isNamed);
  }
  const index = parseLayoutIndex(bytes, where);
  const source = layoutSource(shown, index, contentOf(archive), wanted, isNamed);
  if (kind === "oci-archive") return source;
  // Docker saves an index as it is, and of what it names only what is there.
  return { ...source, hasContent: async ({ digest }) => files.has(blobFile(digest)) };
}

function contentOf(archive: OpenedArchive): ContentProvider {
  return {
    openContent: async function* ({ digest }, options) {
      const found = archive.files.get(blobFile(digest));
      if (found === undefined) {
        throw new ContentError("ERR_CONTENT_NOT_FOUND", `${digest}: not in ${archive.where}`);
      }
      yield* archive.read(found, options);
    },
  };
}

async function* readFrom(
  file: FileHandle,
  path: string,
  { offset: start, size }: ArchivedFile,
  { signal, offset = 0 }: OpenContentOptions = {},
): ByteSource {
  for (let position = offset; position < size;) {
    signal?.throwIfAborted();
    const length = Math.min(READ_BYTES, size - position);
    const chunk = await guarded(path, () => readAt(file, start + position, length));
    if (chunk.length === 0) return;
    position += chunk.length;
    yield chunk;
  }
}
