/**
 * A store of podman's as a place to copy to, by way of the programs that may write there.
 *
 * @module
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  ContentError,
  type Digest,
  encodedOf,
  type FetchedManifest,
  hasErrorCode,
  type ImageManifest,
} from "@stowage/content";
import { formatReference } from "@stowage/reference";
import type { CopyDestination } from "@stowage/registry";

import { RuntimeError } from "../runtime-error.ts";
import { formatPodmanLocation, type PodmanPlace } from "./podman-location.ts";
import { type FoundPodmanImage, openPodmanSource, storeOf } from "./podman-source.ts";
import {
  FILES_ONLY_POLICY,
  findStoreProgram,
  runStoreProgram,
  type StoreProgram,
} from "./store-program.ts";
import { openWorkDirectory } from "./work-directory.ts";

/** How {@link openPodmanDestination} writes. */
export interface PodmanDestinationOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
}

// What there is before anything was stored, and what a copy mends.
const ABSENT: readonly string[] = [
  "ERR_STORE_IMAGE_NOT_FOUND",
  "ERR_STORE_INVALID_ROOT",
  "ERR_STORE_LAYER_NOT_FOUND",
  "ERR_STORE_CORRUPT",
];
const READABLE: ReadonlySet<string | undefined> = new Set([undefined, "overlay", "vfs"]);

/**
 * A place for one image in a store of podman's. It lies in a directory of its own meanwhile, of which
 * skopeo, podman or buildah stores it when it is committed; then it is looked at what is there.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_PODMAN_NOT_INSTALLED`; `ERR_RUNTIME_COPY_UNSUPPORTED` for
 *   a driver that cannot be read, and for an image of which layers are elsewhere;
 *   `ERR_RUNTIME_PODMAN_FAILED`. {@link @stowage/content#ContentError} `ERR_CONTENT_DIGEST_MISMATCH`
 *   where another image has the name afterwards. What it throws while it is written to: as
 *   `imageFolderDestination` does.
 */
export async function openPodmanDestination(
  place: PodmanPlace,
  { env }: PodmanDestinationOptions,
): Promise<CopyDestination> {
  const { driver } = await storeOf(place, env);
  if (!READABLE.has(driver)) {
    throw unsupported(
      `containers-storage: what the driver ${driver} stores cannot be looked at afterwards`,
      "Copy to docker-archive:PATH:NAME, and podman load that.",
    );
  }
  const program = await findStoreProgram(env);
  const work = await openWorkDirectory(env);
  try {
    return await writeThrough(program, work, place, env);
  } catch (error) {
    await work[Symbol.asyncDispose]();
    throw error;
  }
}

async function writeThrough(
  program: StoreProgram,
  work: AsyncDisposable & { readonly path: string },
  place: PodmanPlace,
  env: PodmanDestinationOptions["env"],
): Promise<CopyDestination> {
  const { archiveDestination, imageFolderDestination } = await import("@stowage/registry");
  const path = join(work.path, "image");
  const [policy, temporary] = [join(work.path, "policy.json"), join(work.path, "tmp")];
  const name = place.image.reference;
  const files =
    program.takes === "dir"
      ? imageFolderDestination(path)
      : archiveDestination("oci-archive", path, formatReference(name));
  const blobs = new Set<Digest>();
  let image: FetchedManifest | undefined;
  let isThere = false;
  return {
    name: formatPodmanLocation(place),
    async hasManifest({ digest }, { signal } = {}) {
      const stored = await readStored(place, env, signal).catch(unlessAbsent(ABSENT));
      isThere = stored?.digest === digest;
      return isThere;
    },
    writeBlob(descriptor, provider, options) {
      blobs.add(descriptor.digest);
      return files.writeBlob(descriptor, provider, options);
    },
    async writeManifest(manifest, options) {
      if (isThere) return;
      if (options?.root === true) {
        requireStorable(manifest, program, blobs);
        image = manifest;
      }
      await files.writeManifest(manifest, options);
    },
    async commit({ signal } = {}) {
      if (isThere || image === undefined) return;
      await files.commit({ signal });
      await mkdir(temporary, { mode: 0o700 });
      await writeFile(policy, FILES_ONLY_POLICY);
      const { store } = place;
      await runStoreProgram(program, { path, name, store, policy, temporary }, { env, signal });
      await requireStored(image, place, env, signal);
    },
    async [Symbol.asyncDispose]() {
      await using _work = work;
      await files[Symbol.asyncDispose]();
    },
  };
}

/** Sees that the program needs nobody else for any of it. */
function requireStorable(
  { document }: FetchedManifest,
  { name, takes }: StoreProgram,
  blobs: ReadonlySet<Digest>,
): void {
  const { config, layers } = manifestOf(document);
  if (layers.some(({ digest }) => !blobs.has(digest))) {
    throw unsupported(
      "containers-storage: the image has a layer that may be had from its maker only",
      "A store of podman's holds layers unpacked, and so all of them.",
    );
  }
  if (takes === "dir" || [config, ...layers].every(({ urls = [] }) => urls.length === 0)) return;
  throw unsupported(
    `containers-storage: the image has a layer with URLs, which ${name} would fetch`,
    "Install skopeo, which takes what lies here.",
  );
}

/** Sees that the store has the image under its name, and not another. */
async function requireStored(
  { descriptor: { digest }, document }: FetchedManifest,
  place: PodmanPlace,
  env: PodmanDestinationOptions["env"],
  signal: AbortSignal | undefined,
): Promise<void> {
  const stored = await readStored(place, env, signal).catch(unlessAbsent(ABSENT.slice(0, 1)));
  const id = encodedOf(manifestOf(document).config.digest);
  // Podman keeps one image for one ID, whatever manifests it came by.
  if (stored?.id === id && stored.digests.includes(digest)) return;
  const what = stored === undefined ? "is not there" : `is ${stored.digest}, image ${stored.id}`;
  const message = `${formatPodmanLocation(place)}: ${what}, instead of ${digest}, image ${id}`;
  throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", message, {
    hint: "What stored it has changed it, or somebody else has taken the name meanwhile.",
  });
}

/** What the name stands for in the store. */
async function readStored(
  place: PodmanPlace,
  env: PodmanDestinationOptions["env"],
  signal: AbortSignal | undefined,
): Promise<FoundPodmanImage & { readonly digest: Digest }> {
  await using stored = await openPodmanSource(place, { asStored: true, env, signal });
  const { descriptor } = await stored.fetchRoot({ signal });
  return { ...stored.found, digest: descriptor.digest };
}

function unlessAbsent(codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!hasErrorCode(error, ...codes)) throw error;
  };
}

function manifestOf(document: FetchedManifest["document"]): ImageManifest {
  if (document.kind === "manifest") return document.manifest;
  throw unsupported(
    "containers-storage: holds one image for each name, not an index of several",
    "Copy each platform under a name of its own.",
  );
}

function unsupported(message: string, hint: string): RuntimeError {
  return new RuntimeError("ERR_RUNTIME_COPY_UNSUPPORTED", message, { hint });
}
