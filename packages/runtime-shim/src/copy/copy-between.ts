/**
 * Copies an image from any place to any other: registries, layouts, archives and the store.
 *
 * @module
 */
import { type Digest, hostPlatform, type Platform } from "@stowage/content";
import type { SignatureRegistry } from "@stowage/policy";
import type {
  CopyDestination,
  CopyProgress,
  CopySource,
  PushedBlob,
  RegistryClient,
  RepositoryClient,
  TransferEvent,
} from "@stowage/registry";
import { DEFAULT_TAG, parseTag, type Reference } from "@stowage/reference";

import { withSharedRate } from "../open-registry-client.ts";
import { RuntimeError } from "../runtime-error.ts";
import type { RegistryAccess, RuntimeOptions } from "../runtime-options.ts";
import { createRuntime, type Runtime } from "../runtime.ts";
import { wireRegistry } from "../wire-registry.ts";
import { placeSignatures, signatureRegistry } from "../wire-signature-source.ts";
import { type CopyLocation, formatCopyLocation } from "./copy-location.ts";
import { type LocalSource, openLocalSource } from "./local-source.ts";
import { openPodmanDestination } from "./podman-destination.ts";
import { podmanPlace } from "./podman-location.ts";
import { countPull, digestIn } from "./pull-counts.ts";
import { askPlace, pullFrom } from "./store-destination.ts";
import { openStoreSource } from "./store-source.ts";

/** What {@link copyBetween} tells of: the copy itself, and the registries on both sides. */
export type CopyBetweenProgress = CopyProgress | TransferEvent;

/** How {@link copyBetween} copies. The store is opened only where it is the one or the other. */
export interface CopyBetweenOptions extends RuntimeOptions {
  /**
   * Of an index, only the images for these. One: that image itself. Several: the index with holes.
   *
   * @defaultValue all; this host's where the destination holds a single image
   */
  readonly platforms?: readonly Platform[] | undefined;
  /** All that there are, or a failure: never one image in place of an index. */
  readonly allPlatforms?: boolean | undefined;
  /** What refers to the image, too, and what refers to that; and cosign's tags beside it. */
  readonly withReferrers?: boolean | undefined;
  /** How the registry of the source is reached, where it differs. */
  readonly from?: RegistryAccess | undefined;
  /** How the registry of the destination is reached, where it differs. */
  readonly to?: RegistryAccess | undefined;
  /** Told how far the copy is, and which place served or refused. */
  readonly onProgress?: ((event: CopyBetweenProgress) => void) | undefined;
}

/** What was copied; these names are an interface. */
export interface CopyResult {
  readonly source: string;
  readonly destination: string;
  /** Of the manifest or index that the destination's name stands for. */
  readonly digest: Digest;
  /**
   * Of the manifest in the source, where the copy's is another: podman's store has layers unpacked,
   * and the manifest names them so. The config, and so the image ID, is the same.
   */
  readonly rewrittenFrom?: Digest;
  /** All manifests and indexes, the referrers included. */
  readonly manifests: number;
  readonly referrers: number;
  readonly blobs: Readonly<Record<PushedBlob, number>>;
  /** Bytes of the blobs that were transferred. */
  readonly bytes: number;
}

/**
 * Copies an image, byte for byte. What is copied to the store goes in as by a pull of that name: the
 * policy is asked, and names move as they do there.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_COPY_UNSUPPORTED` for what the places cannot do; what
 *   registries, layouts, archives, policy and store throw comes through.
 */
export async function copyBetween(
  from: CopyLocation,
  to: CopyLocation,
  given: CopyBetweenOptions,
): Promise<CopyResult> {
  checkCopy(from, to, given);
  const options = await withSharedRate(given);
  // Whoever is asked is asked at once, and not when all of a daemon's image has been saved.
  const meant = to.transport === "store" ? await askPlace(to.image, options) : undefined;
  const usesStore = from.transport === "store" || to.transport === "store";
  await using runtime = usesStore ? await createRuntime(options) : undefined;
  const [reading, writing] = [from, to].map(({ transport }) => transport === "docker");
  const wiring = { onTransfer: options.onProgress };
  await using origin = reading ? await wireRegistry(options, options.from, wiring) : undefined;
  await using target = writing ? await wireRegistry(options, options.to, wiring) : undefined;
  const repository =
    from.transport === "docker" ? origin?.repository(from.reference.repository) : undefined;
  await using source = await openSource(from, options, { runtime, repository });
  const { rewrittenFrom } = source;
  if (rewrittenFrom !== undefined) tellRewritten(source.name, rewrittenFrom, to, options);
  const names = {
    source: formatCopyLocation(from),
    destination: formatCopyLocation(to),
    ...(rewrittenFrom !== undefined && { rewrittenFrom }),
  };
  if (to.transport === "store") {
    const signatures = ({ repository: name }: Reference): SignatureRegistry =>
      repository ? signatureRegistry(repository) : placeSignatures(source, name);
    const name = meant?.name ?? to.image;
    const place = { runtime: required(runtime), name, signatures };
    const copied = await copyToStore(source, place, options);
    await meant?.keep();
    return { ...names, ...copied };
  }
  await using destination = await openDestination(to, target, options);
  const { copyImage } = await import("@stowage/registry");
  const { descriptor, ...counts } = await copyImage(source, destination, {
    platforms: platformsFor(to, options),
    withReferrers: options.withReferrers,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  return { ...names, digest: descriptor.digest, ...counts };
}

/** Whoever asks for a certain digest does not get another. */
function tellRewritten(
  source: string,
  stored: Digest,
  to: CopyLocation,
  { onWarning }: CopyBetweenOptions,
): void {
  const what =
    "the layers of podman's store are unpacked, and the manifest is written anew for them";
  if (to.transport === "store" && to.image.includes("@")) {
    throw unsupported(
      `${source}: ${what}, so that it has another digest than ${stored}`,
      "Store it under a tag, or pull the image from where podman had it.",
    );
  }
  onWarning?.(`${source}: ${what}: the copy has another digest than ${stored}`);
}

function checkCopy(from: CopyLocation, to: CopyLocation, options: CopyBetweenOptions): void {
  const { platforms = [], allPlatforms = false, withReferrers = false } = options;
  if (allPlatforms && platforms.length > 0) {
    throw unsupported("all platforms, and some, at once", "Leave out the one or the other.");
  }
  if (holdsOne(to) && (allPlatforms || platforms.length > 1)) {
    throw unsupported(
      `${to.transport}: holds one image for each name, not an index of several`,
      "Copy each platform under a name of its own, or copy to a registry or an OCI layout.",
    );
  }
  if (withReferrers && (from.transport === "store" || to.transport === "store")) {
    throw unsupported(
      "the store keeps images, and not what refers to them",
      "Copy referrers between registries, OCI layouts and archives.",
    );
  }
  const single = [from, to].find(({ transport }) => NO_REFERRERS.has(transport));
  if (withReferrers && single !== undefined) {
    throw unsupported(
      `${single.transport}: holds one image, and not what refers to it`,
      "Copy referrers between registries, OCI layouts and archives.",
    );
  }
  if (to.transport === "docker" && to.reference.digest !== undefined) throw digestAsPlace();
  if (to.transport === "docker-daemon" && nameIn(to).digest !== undefined) throw digestAsPlace();
  if (to.transport === "containers-storage") podmanPlace(to);
}

function nameIn({ image }: Extract<CopyLocation, { transport: "docker-daemon" }>): Reference {
  if (typeof image === "string") throw digestAsPlace();
  return image;
}

function digestAsPlace(): RuntimeError {
  return unsupported(
    "a digest is no place to copy to; it follows from the image",
    "Write docker://NAME:TAG, or docker-daemon:NAME:TAG.",
  );
}

const NO_REFERRERS: ReadonlySet<string> = new Set(["containers-storage", "dir", "docker-daemon"]);

function holdsOne({ transport }: CopyLocation): boolean {
  return ["containers-storage", "docker-archive", "docker-daemon", "store"].includes(transport);
}

function platformsFor(
  to: CopyLocation,
  { platforms, allPlatforms }: CopyBetweenOptions,
): readonly Platform[] | undefined {
  if (platforms !== undefined && platforms.length > 0) return platforms;
  return holdsOne(to) && allPlatforms !== true ? [hostPlatform()] : undefined;
}

async function openSource(
  from: CopyLocation,
  options: CopyBetweenOptions,
  opened: {
    readonly runtime: Runtime | undefined;
    readonly repository: RepositoryClient | undefined;
  },
): Promise<LocalSource> {
  const { platforms = [], allPlatforms = false, signal } = options;
  switch (from.transport) {
    case "store": {
      const withIndex = allPlatforms || platforms.length > 0;
      return openStoreSource(required(opened.runtime), from.image, { withIndex, signal });
    }
    case "docker": {
      const { registrySource } = await import("@stowage/registry");
      const { tag, digest } = from.reference;
      return registrySource(required(opened.repository), digest ?? tag ?? parseTag(DEFAULT_TAG));
    }
    default:
      return openLocalSource(from, options);
  }
}

async function openDestination(
  to: Exclude<CopyLocation, { transport: "store" }>,
  client: RegistryClient | undefined,
  { env = process.env }: CopyBetweenOptions,
): Promise<CopyDestination> {
  const {
    archiveDestination,
    dockerDaemonDestination,
    imageFolderDestination,
    layoutFolderDestination,
    registryDestination,
  } = await import("@stowage/registry");
  switch (to.transport) {
    case "docker": {
      const { repository, tag } = to.reference;
      return registryDestination(required(client).repository(repository), tag);
    }
    case "containers-storage":
      return openPodmanDestination(podmanPlace(to), { env });
    case "docker-daemon":
      return dockerDaemonDestination(nameIn(to), { env });
    case "dir":
      return imageFolderDestination(to.path);
    case "oci":
      return layoutFolderDestination(to.path, to.name);
    case "docker-archive":
    case "oci-archive":
      return archiveDestination(to.transport, to.path, to.name);
    default:
      return to satisfies never;
  }
}

// What a transport needs was opened for it.
function required<Opened>(opened: Opened | undefined): Opened {
  if (opened === undefined) throw new TypeError("what the transport needs is not open");
  return opened;
}

async function copyToStore(
  source: CopySource,
  place: {
    readonly runtime: Runtime;
    readonly name: string;
    readonly signatures: (name: Reference) => SignatureRegistry;
  },
  options: CopyBetweenOptions,
): Promise<Omit<CopyResult, "destination" | "source">> {
  const { platforms, onProgress, signal } = options;
  const counting = countPull(onProgress);
  const pulled = await pullFrom(source, place.runtime, place.name, {
    platform: platforms?.[0],
    onProgress: counting.onProgress,
    signal,
    runtime: options,
    signatures: place.signatures,
  });
  return {
    digest: digestIn(pulled.canonical),
    manifests: pulled.indexCanonical === undefined ? 1 : 2,
    referrers: 0,
    blobs: counting.blobs,
    bytes: pulled.transferred.bytes,
  };
}

function unsupported(message: string, hint: string): RuntimeError {
  return new RuntimeError("ERR_RUNTIME_COPY_UNSUPPORTED", message, { hint });
}
