/**
 * OCI layouts and Docker's archives in one tar file. What is written is both at once: a layout, so
 * that no digest changes, with the `manifest.json` that `docker load` reads.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * @see https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
 * @module
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

import {
  type ByteSource,
  ContentError,
  type ContentProvider,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  type OpenContentOptions,
  verifyContent,
} from "@stowage/content";

import type { CopyDestination, CopySource } from "./copy-place.ts";
import { guarded, requireSource } from "./file-failure.ts";
import {
  buildDockerLayout,
  DOCKER_MANIFEST_FILE,
  formatDockerManifest,
} from "./docker-manifest.ts";
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
  MAX_INDEX_BYTES,
  parseLayoutIndex,
} from "./oci-layout.ts";
import { type ArchivedFile, indexTar, readAt, type TarIndex } from "./tar-index.ts";
import { TarOutput } from "./tar-output.ts";

/** An archive that is open for reading. */
export interface OpenedArchive extends AsyncDisposable {
  readonly path: string;
  readonly files: TarIndex;
  /** A small file, whole; `undefined` if there is none. */
  readSmall(name: string): Promise<Uint8Array | undefined>;
  read(file: ArchivedFile, options?: OpenContentOptions): ByteSource;
}

const READ_BYTES = 256 * 1024;

/**
 * An image of an archive: an OCI layout, or as `docker save` writes it.
 *
 * @param kind - which of the two it is taken for, where it is both.
 * @param name - the name within; the only image unless given.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if it is neither,
 *   `ERR_REGISTRY_NOT_FOUND` if there is no such file.
 */
export async function openArchive(
  kind: "docker-archive" | "oci-archive",
  path: string,
  name?: string,
): Promise<CopySource> {
  const archive = await openTar(path);
  try {
    const shown = `${kind}:${path}${name === undefined ? "" : `:${name}`}`;
    const close = async (): Promise<void> => archive[Symbol.asyncDispose]();
    const bytes = await archive.readSmall(INDEX_FILE);
    if (bytes !== undefined) {
      const index = parseLayoutIndex(bytes, path);
      const source = layoutSource(shown, index, contentOf(archive), name);
      return { ...source, [Symbol.asyncDispose]: close };
    }
    if (kind === "oci-archive") throw invalidLayout(path, "it holds no OCI layout: no index.json");
    const { index, content } = await buildDockerLayout(archive);
    return { ...layoutSource(shown, index, content, name), [Symbol.asyncDispose]: close };
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * A place for one image in an archive, which takes the place of any that is there when it is
 * committed.
 *
 * @param kind - `docker-archive` takes a single image, not an index.
 */
export function archiveDestination(
  kind: "docker-archive" | "oci-archive",
  path: string,
  name?: string,
): CopyDestination {
  const output = new TarOutput(path);
  const taken = new Set<Digest>();
  const entries: (readonly [descriptor: Descriptor, name: string | undefined])[] = [];
  let image: FetchedManifest | undefined;
  const take = async (
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<"existed" | "uploaded"> => {
    if (taken.has(digest)) return "existed";
    taken.add(digest);
    const verified = (): ByteSource => verifyContent(source(), { digest, size });
    await output.add(blobFile(digest), size, verified, onProgress);
    return "uploaded";
  };
  return {
    name: `${kind}:${path}${name === undefined ? "" : `:${name}`}`,
    writeBlob: (descriptor, provider, { signal, onProgress } = {}) =>
      take(descriptor, () => provider.openContent(descriptor, { signal }), onProgress),
    async writeManifest(manifest, { root = false, tag } = {}) {
      if (root && kind === "docker-archive" && manifest.document.kind === "index") {
        throw invalidLayout(path, "a Docker archive holds one image, not an index of several");
      }
      await take(manifest.descriptor, () => once(manifest.bytes));
      const entry = indexEntry(manifest);
      if (root) {
        image = manifest;
        entries.push([entry, name]);
      } else if (tag !== undefined) entries.push([entry, tag]);
      else if (entry.artifactType !== undefined) entries.push([entry, undefined]);
    },
    async commit() {
      const index = entries.reduce(
        (before, [entry, as]) => addToIndex(before, entry, as),
        parseLayoutIndex(undefined, path),
      );
      await addSmall(output, LAYOUT_FILE, Buffer.from(LAYOUT_DOCUMENT));
      await addSmall(output, INDEX_FILE, formatLayoutIndex(index));
      if (image?.document.kind === "manifest") {
        const document = formatDockerManifest(image.document.manifest, name);
        await addSmall(output, DOCKER_MANIFEST_FILE, document);
      }
      await output.commit();
    },
    [Symbol.asyncDispose]: () => output[Symbol.asyncDispose](),
  };
}

async function openTar(path: string): Promise<OpenedArchive> {
  await requireSource(path);
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await guarded(path, () => open(path, flags));
  try {
    if (!(await file.stat()).isFile()) throw invalidLayout(path, "it is no file");
    const files = await guarded(path, () => indexTar(file, path));
    return {
      path,
      files,
      async readSmall(name) {
        const found = files.get(name);
        if (found === undefined) return undefined;
        if (found.size > MAX_INDEX_BYTES) throw invalidLayout(path, `its ${name} is too long`);
        return readAt(file, found.offset, found.size);
      },
      read: (found, options) => readFrom(file, path, found, options),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function contentOf(archive: OpenedArchive): ContentProvider {
  return {
    openContent: async function* ({ digest }, options) {
      const found = archive.files.get(blobFile(digest));
      if (found === undefined) {
        throw new ContentError("ERR_CONTENT_NOT_FOUND", `${digest}: not in ${archive.path}`);
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

async function addSmall(output: TarOutput, name: string, bytes: Uint8Array): Promise<void> {
  await output.add(name, bytes.byteLength, () => once(bytes));
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
