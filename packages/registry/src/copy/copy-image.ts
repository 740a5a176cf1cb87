/**
 * Copies an image from one place to another, byte for byte: no digest ever changes.
 *
 * @module
 */
import {
  type ContentProvider,
  type Descriptor,
  type Digest,
  type FetchedManifest,
  hasErrorCode,
  type ImageIndex,
  MEDIA_TYPE,
  type Platform,
  selectManifest,
} from "@stowage/content";
import { parseTag } from "@stowage/reference";

import type { PushedBlob } from "../push-blob.ts";
import { RegistryError } from "../registry-error.ts";
import { Slots } from "../slots.ts";
import type { TransportOptions } from "../transport.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";
import type { CopyProgress } from "./copy-progress.ts";

/** How {@link copyImage} copies. */
export interface CopyImageOptions extends TransportOptions {
  /**
   * Of an index, only the images for these. One: that image itself is copied in place of the index.
   * Several: the index as it is, with holes, which not every destination takes.
   *
   * @defaultValue all
   */
  readonly platforms?: readonly Platform[] | undefined;
  /** Copy what refers to the image, too, and what refers to that; and cosign's tags beside it. */
  readonly withReferrers?: boolean | undefined;
  /** Blobs at once. @defaultValue 6 */
  readonly concurrency?: number | undefined;
  readonly onProgress?: ((event: CopyProgress) => void) | undefined;
}

/** What was copied. */
export interface CopiedImage {
  /** Of the manifest or index that the destination's name stands for. */
  readonly descriptor: Descriptor;
  /** All manifests and indexes, the referrers included. */
  readonly manifests: number;
  readonly referrers: number;
  readonly blobs: Readonly<Record<PushedBlob, number>>;
  /** Bytes of the blobs that were transferred. */
  readonly bytes: number;
}

const DEFAULT_CONCURRENCY = 6;
// More could only be a circle that a registry made up as it went.
const MAX_DEPTH = 16;
const MAX_TAG_LENGTH = 128;
const COSIGN_SUFFIXES = ["sig", "att", "sbom"];

/**
 * Copies an image. Blobs go before the manifests that name them, the image's own name comes last,
 * and the destination is committed when all is there.
 *
 * @throws {@link RegistryError}, {@link @stowage/content#ContentError} as source and destination
 *   do; `ERR_CONTENT_PLATFORM_NOT_FOUND` if the index has nothing for one of `platforms`.
 */
export async function copyImage(
  source: CopySource,
  destination: CopyDestination,
  options: CopyImageOptions = {},
): Promise<CopiedImage> {
  return new ImageCopy(source, destination, options).run();
}

class ImageCopy {
  readonly #source: CopySource;
  readonly #destination: CopyDestination;
  readonly #options: CopyImageOptions;
  readonly #slots: Slots;
  readonly #failure = new AbortController();
  readonly #signal: AbortSignal;
  readonly #blobs = new Map<Digest, Promise<void>>();
  readonly #manifests = new Map<Digest, Promise<void>>();
  readonly #counts = { existed: 0, mounted: 0, uploaded: 0 };
  #referrers = 0;
  #bytes = 0;

  constructor(source: CopySource, destination: CopyDestination, options: CopyImageOptions) {
    const { signal, concurrency = DEFAULT_CONCURRENCY } = options;
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
    this.#slots = new Slots(concurrency);
    const own = this.#failure.signal;
    this.#signal = signal === undefined ? own : AbortSignal.any([signal, own]);
  }

  async run(): Promise<CopiedImage> {
    const signal = this.#signal;
    try {
      const asked = await this.#source.fetchRoot({ signal });
      const { root, wanted } = await this.#choose(asked);
      await this.#copyParts(root, wanted, 0);
      if (this.#options.withReferrers === true) {
        await this.#copyManifest(root, 0);
        await this.#copyReferrers();
      }
      // The name comes last: who finds the image finds all that belongs to it.
      await this.#destination.writeManifest(root, { root: true, signal });
      this.#manifests.set(root.descriptor.digest, Promise.resolve());
      this.#tellManifest(root);
      await this.#destination.commit({ signal });
      return {
        descriptor: root.descriptor,
        manifests: this.#manifests.size,
        referrers: this.#referrers,
        blobs: this.#counts,
        bytes: this.#bytes,
      };
    } catch (error) {
      this.#failure.abort(error);
      // Nobody may go on writing into a destination that is about to be given up.
      await Promise.allSettled([...this.#blobs.values(), ...this.#manifests.values()]);
      this.#options.signal?.throwIfAborted();
      throw error;
    }
  }

  /** What stands for the platforms that were asked for. */
  async #choose(
    asked: FetchedManifest,
  ): Promise<{ root: FetchedManifest; wanted?: ReadonlySet<Digest> | undefined }> {
    const { platforms } = this.#options;
    if (asked.document.kind === "manifest") return { root: asked };
    const { index } = asked.document;
    if (platforms === undefined) return { root: asked, wanted: await this.#present(index) };
    const chosen = platforms.map((platform) => selectManifest(index, platform));
    const [only] = chosen;
    if (only !== undefined && chosen.every(({ digest }) => digest === only.digest)) {
      return { root: await this.#source.fetchManifest(only, { signal: this.#signal }) };
    }
    const wanted = new Set(chosen.map(({ digest }) => digest));
    // BuildKit's attestations name what they are of by an annotation.
    for (const { digest, annotations } of index.manifests) {
      const subject = annotations?.["vnd.docker.reference.digest"];
      if (chosen.some((image) => image.digest === subject)) wanted.add(digest);
    }
    return { root: asked, wanted };
  }

  /** What a source that may lack some of an index has of it. */
  async #present({ manifests }: ImageIndex): Promise<ReadonlySet<Digest> | undefined> {
    const source = this.#source;
    if (source.hasContent === undefined) return undefined;
    const present = new Set<Digest>();
    for (const entry of manifests) {
      const isHere = await source.hasContent(entry, { signal: this.#signal });
      if (isHere) present.add(entry.digest);
    }
    return present;
  }

  /** Copies what a manifest names; of an index only the entries that are wanted. */
  async #copyParts(
    { document, descriptor }: FetchedManifest,
    wanted: ReadonlySet<Digest> | undefined,
    depth: number,
  ): Promise<void> {
    if (document.kind === "manifest") {
      const { config, layers, subject } = document.manifest;
      if (await this.#isHere(descriptor, subject?.digest)) return;
      // Layers that may only be had from their maker are named, not kept.
      const blobs = [config, ...layers].filter((blob) => !isForeign(blob));
      this.#announce(descriptor, blobs);
      await Promise.all(blobs.map((blob) => this.#copyBlob(blob)));
      return;
    }
    // What is there may have been copied for other platforms, and with fewer referrers.
    const isAll = wanted === undefined && this.#options.withReferrers !== true;
    const { manifests: entries, subject } = document.index;
    if (isAll && (await this.#isHere(descriptor, subject?.digest))) return;
    const some = wanted === undefined ? entries : entries.filter((e) => wanted.has(e.digest));
    await Promise.all(some.map((entry) => this.#copyNamed(entry, depth + 1)));
  }

  #copyManifest(manifest: FetchedManifest, depth: number): Promise<void> {
    const { digest } = manifest.descriptor;
    return this.#once(this.#manifests, digest, async () => {
      if (depth > 0) await this.#copyParts(manifest, undefined, depth);
      await this.#destination.writeManifest(manifest, { signal: this.#signal });
      if (depth > 0) this.#tellManifest(manifest);
    });
  }

  async #copyNamed(descriptor: Descriptor, depth: number, subject?: Digest): Promise<void> {
    const { digest, mediaType } = descriptor;
    if (depth > MAX_DEPTH) {
      throw new RegistryError("ERR_REGISTRY_TOO_LARGE", `${digest}: over ${MAX_DEPTH} levels deep`);
    }
    const isImage =
      mediaType === MEDIA_TYPE.imageManifest || mediaType === MEDIA_TYPE.dockerManifest;
    if (isImage && !this.#manifests.has(digest) && (await this.#isHere(descriptor, subject))) {
      await this.#once(this.#manifests, digest, async () => {});
      return;
    }
    await (this.#manifests.get(digest) ??
      this.#copyManifest(
        await this.#source.fetchManifest(descriptor, { signal: this.#signal }),
        depth,
      ));
  }

  async #isHere(descriptor: Descriptor, subject: Digest | undefined): Promise<boolean> {
    const how = { subject, signal: this.#signal };
    return (await this.#destination.hasManifest?.(descriptor, how)) ?? false;
  }

  /** Of all that was copied, and of what this copies in turn. */
  async #copyReferrers(): Promise<void> {
    // A Map's iteration comes upon what is added meanwhile.
    for (const subject of this.#manifests.keys()) {
      const signal = this.#signal;
      const found: Promise<void>[] = [];
      for await (const referrer of this.#source.referrers(subject, { signal })) {
        if (this.#manifests.has(referrer.digest)) continue;
        this.#referrers += 1;
        found.push(this.#copyNamed(referrer, 1, subject));
      }
      await Promise.all(found);
      for (const suffix of COSIGN_SUFFIXES) await this.#copyCosignTag(subject, suffix);
    }
  }

  async #copyCosignTag(subject: Digest, suffix: string): Promise<void> {
    const signal = this.#signal;
    const text = `${subject.replace(":", "-")}.${suffix}`;
    if (text.length > MAX_TAG_LENGTH) return;
    const tag = parseTag(text);
    const manifest = await this.#source.findTag(tag, { signal });
    if (manifest === undefined) return;
    this.#referrers += 1;
    await this.#copyManifest(manifest, 1);
    await this.#destination.writeManifest(manifest, { tag, signal });
  }

  #announce({ digest }: Descriptor, blobs: readonly Descriptor[]): void {
    const sizes = new Map(blobs.map((blob) => [blob.digest, blob.size]));
    for (const known of this.#blobs.keys()) sizes.delete(known);
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const { onProgress } = this.#options;
    onProgress?.({ type: "manifest-start", digest, blobs: sizes.size, bytes });
  }

  #tellManifest({ descriptor: { digest, mediaType } }: FetchedManifest): void {
    this.#options.onProgress?.({ type: "manifest-done", digest, mediaType });
  }

  #once(
    done: Map<Digest, Promise<void>>,
    digest: Digest,
    task: () => Promise<void>,
  ): Promise<void> {
    let running = done.get(digest);
    if (running === undefined) {
      running = task();
      // Heard of by whoever waits, or by nobody if another failed first.
      running.catch(() => {});
      done.set(digest, running);
    }
    return running;
  }

  #copyBlob(descriptor: Descriptor): Promise<void> {
    return this.#once(this.#blobs, descriptor.digest, () => this.#writeBlob(descriptor));
  }

  async #writeBlob(descriptor: Descriptor): Promise<void> {
    const signal = this.#signal;
    const { onProgress } = this.#options;
    const { digest, size } = descriptor;
    using _slot = await this.#slots.acquire(signal);
    onProgress?.({ type: "blob-start", digest, size });
    let from: { readonly source: string } | undefined;
    const provider: ContentProvider = {
      openContent: (wanted, how = {}) =>
        this.#source.openContent(wanted, {
          ...how,
          onOrigin(origin) {
            const source = URL.parse(origin.url)?.host;
            from = source === undefined ? undefined : { source };
            how.onOrigin?.(origin);
          },
        }),
    };
    const write = (): Promise<PushedBlob> =>
      this.#destination.writeBlob(descriptor, provider, {
        from: this.#source.repository,
        signal,
        onProgress: (written) =>
          onProgress?.({ type: "blob-progress", digest, written, size, ...from }),
      });
    const how = await write().catch((error: unknown) => {
      // What was altered on the way may come whole the next time, or from another mirror.
      if (this.#source.repository === undefined || !isAltered(error)) throw error;
      return write();
    });
    this.#counts[how] += 1;
    if (how === "uploaded") this.#bytes += size;
    onProgress?.({ type: "blob-done", digest, size, how, ...(how === "uploaded" && from) });
  }
}

function isAltered(error: unknown): boolean {
  return hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH", "ERR_CONTENT_SIZE_MISMATCH");
}

function isForeign({ mediaType, urls }: Descriptor): boolean {
  const types = /nondistributable|rootfs\.foreign\./u;
  return urls !== undefined && urls.length > 0 && types.test(mediaType);
}
