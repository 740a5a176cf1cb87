/**
 * OCI layouts and Docker's archives in one tar file. What is written is both at once: a layout, so
 * that no digest changes, with the `manifest.json` that `docker load` reads.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 * @see https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
 * @module
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";

import {
  type ByteSource,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  verifyContent,
} from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import type { TransportOptions } from "../transport.ts";
import { type ArchiveKind, archiveSource, readArchive } from "./archive-source.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";
import { DOCKER_MANIFEST_FILE, formatDockerManifest } from "./docker-manifest.ts";
import { wholeName } from "./docker-name.ts";
import { guarded, requireSource } from "./file-failure.ts";
import {
  addToIndex,
  blobFile,
  formatLayoutIndex,
  FULL_NAME,
  INDEX_FILE,
  indexEntry,
  invalidLayout,
  LAYOUT_DOCUMENT,
  LAYOUT_FILE,
  parseLayoutIndex,
} from "./oci-layout.ts";
import { TarOutput } from "./tar-output.ts";

/**
 * An image of an archive: an OCI layout, or as `docker save` writes it.
 *
 * @param kind - which of the two it is taken for, where it is both.
 * @param name - the name within; the only image unless given. In Docker's archives `app:1` and
 *   `docker.io/library/app:1` are one name.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_LAYOUT` if it is neither,
 *   `ERR_REGISTRY_NOT_FOUND` if there is no such file.
 */
export async function openArchive(
  kind: "docker-archive" | "oci-archive",
  path: string,
  name?: string,
): Promise<CopySource> {
  await requireSource(path);
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await guarded(path, () => open(path, flags));
  try {
    if (!(await file.stat()).isFile()) throw invalidLayout(path, "it is no file");
    const shown = `${kind}:${path}${name === undefined ? "" : `:${name}`}`;
    const source = await archiveSource(kind, await readArchive(file, path), shown, name);
    return { ...source, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * A place for one image in an archive, which takes the place of any that is there when it is
 * committed.
 *
 * @param kind - `docker-archive` takes a single image, not an index, and all its layers.
 */
export function archiveDestination(
  kind: "docker-archive" | "oci-archive",
  path: string,
  name?: string,
): CopyDestination {
  const shown = `${kind}:${path}${name === undefined ? "" : `:${name}`}`;
  return placeInArchive(kind, new TarOutput(path), { shown, where: path, name });
}

/** What an archive is written to. */
export interface ArchiveOutput extends AsyncDisposable {
  /** Adds a file of exactly `size` bytes; one after another, in the order of the calls. */
  add(
    name: string,
    size: number,
    source: () => ByteSource,
    onProgress?: (written: number) => void,
  ): Promise<void>;
  commit(image: FetchedManifest | undefined, options?: TransportOptions): Promise<void>;
}

/**
 * A place for one image in an archive that goes to `output`.
 *
 * @param place - `shown` as people write it, `where` as messages about the archive call it.
 */
export function placeInArchive(
  kind: ArchiveKind,
  output: ArchiveOutput,
  place: { readonly shown: string; readonly where: string; readonly name: string | undefined },
): CopyDestination {
  const { shown, where, name } = place;
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
    try {
      await output.add(blobFile(digest), size, verified, onProgress);
    } catch (error) {
      // It may be tried again.
      taken.delete(digest);
      throw error;
    }
    return "uploaded";
  };
  return {
    name: shown,
    writeBlob: (descriptor, provider, { signal, onProgress } = {}) =>
      take(descriptor, () => provider.openContent(descriptor, { signal }), onProgress),
    async writeManifest(manifest, { root = false, tag } = {}) {
      if (root && kind === "docker-archive") requireForDocker(manifest, taken, where);
      await take(manifest.descriptor, () => once(manifest.bytes));
      const entry = indexEntry(manifest);
      if (root) {
        image = manifest;
        entries.push([kind === "docker-archive" ? withWholeName(entry, name) : entry, name]);
      } else if (tag !== undefined) entries.push([entry, tag]);
      else if (entry.artifactType !== undefined) entries.push([entry, undefined]);
    },
    async commit(options) {
      const index = entries.reduce(
        (before, [entry, as]) => addToIndex(before, entry, as),
        parseLayoutIndex(undefined, where),
      );
      await addSmall(output, LAYOUT_FILE, Buffer.from(LAYOUT_DOCUMENT));
      await addSmall(output, INDEX_FILE, formatLayoutIndex(index));
      if (image?.document.kind === "manifest") {
        const document = formatDockerManifest(image.document.manifest, name);
        await addSmall(output, DOCKER_MANIFEST_FILE, document);
      }
      await output.commit(image, options);
    },
    [Symbol.asyncDispose]: () => output[Symbol.asyncDispose](),
  };
}

/** Sees that an image is one that Docker's archives can hold. */
function requireForDocker(
  { document }: FetchedManifest,
  taken: ReadonlySet<Digest>,
  where: string,
): void {
  const what =
    document.kind === "index"
      ? "one image, not an index of several"
      : "all layers of an image, and this one has some that only their maker gives";
  const layers = document.kind === "manifest" ? document.manifest.layers : undefined;
  if (layers?.every(({ digest }) => taken.has(digest)) === true) return;
  throw new RegistryError("ERR_REGISTRY_INVALID_LAYOUT", `${where}: Docker holds ${what}`, {
    hint: "Copy it to a registry, an OCI layout or an oci-archive.",
  });
}

/** With the name by which containerd, and Docker where it keeps images in that, would store it. */
function withWholeName(entry: Descriptor, name: string | undefined): Descriptor {
  const whole = name === undefined ? undefined : wholeName(name);
  if (whole === undefined) return entry;
  return { ...entry, annotations: { ...entry.annotations, [FULL_NAME]: whole } };
}

async function addSmall(output: ArchiveOutput, name: string, bytes: Uint8Array): Promise<void> {
  await output.add(name, bytes.byteLength, () => once(bytes));
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
