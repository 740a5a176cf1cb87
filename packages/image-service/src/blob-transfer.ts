import type { ByteSource, ContentProvider, Descriptor, OpenContentOptions } from "@stowage/content";
import type { Store } from "@stowage/store";

import type { OpenedImage } from "./ports.ts";
import type { PullProgress } from "./pull-progress.ts";
import { BlobReuse } from "./reuse/blob-reuse.ts";
import { createSlots } from "./turn-queue.ts";

/** What came over the wire for one pull. */
export interface Transferred {
  /** Config and layers; manifests are asked for in any case, and not counted. */
  readonly blobs: number;
  /** Bytes as they were sent, those of transfers that were cut included. */
  readonly bytes: number;
  /** Bytes that were copied from blobs that are here instead, if any were. */
  readonly reused?: number;
}

/** Gets the blobs of one image. */
export interface BlobTransfer {
  /**
   * Resolves when the blob is in the store. One that is wanted twice is got once, in this pull, in
   * another, and in another process.
   */
  fetch(descriptor: Descriptor, signal: AbortSignal): Promise<void>;
  /** Passes content on to someone else, and counts it as transferred. */
  readonly source: ContentProvider;
  transferred(): Transferred;
}

/** How many blobs of one image are transferred at once. */
const PARALLEL_BLOBS = 6;

/** What {@link createBlobTransfer} works with. */
export interface BlobTransferOptions {
  readonly store: Store;
  readonly source: OpenedImage;
  /** Where it is pulled from, as `host/path`. */
  readonly repository: string;
  /** Whether blobs that are here may be copied from. @defaultValue true */
  readonly reuse?: boolean | undefined;
  readonly emit: (event: PullProgress) => void;
}

export function createBlobTransfer(options: BlobTransferOptions): BlobTransfer {
  const { store, emit } = options;
  const slots = createSlots(PARALLEL_BLOBS);
  const wanted = new Map<string, Promise<void>>();
  const counted = { blobs: 0, bytes: 0, reused: 0 };
  const onReceived = (bytes: number): void => void (counted.bytes += bytes);
  const reuse = options.reuse === false ? undefined : new BlobReuse({ ...options, onReceived });

  async function* count(descriptor: Descriptor, how: OpenContentOptions): ByteSource {
    const { digest, size, mediaType } = descriptor;
    const { offset = 0, onRestart } = how;
    let received = offset;
    let from: { readonly source: string } | undefined;
    let copied: { readonly reused: number } | undefined;
    const watched: OpenContentOptions = {
      ...how,
      onOrigin(origin) {
        const host = URL.parse(origin.url)?.host;
        from = host === undefined ? undefined : { source: host };
        how.onOrigin?.(origin);
      },
      ...(onRestart !== undefined && {
        async onRestart() {
          received = 0;
          counted.reused -= copied?.reused ?? 0;
          copied = undefined;
          emit({ type: "blob-restart", digest, size });
          await onRestart();
        },
      }),
    };
    counted.blobs += 1;
    emit({ type: "blob-start", digest, size, mediaType, received });
    if (reuse?.suits(descriptor)) {
      for await (const { bytes, isReused } of reuse.open(descriptor, watched)) {
        received += bytes.byteLength;
        if (isReused) {
          counted.reused += bytes.byteLength;
          copied = { reused: bytes.byteLength + (copied?.reused ?? 0) };
        }
        emit({ type: "blob-progress", digest, received, size, ...copied, ...from });
        yield bytes;
      }
      emit({ type: "blob-done", digest, size, ...copied, ...from });
      return;
    }
    for await (const chunk of options.source.openContent(descriptor, watched)) {
      received += chunk.byteLength;
      onReceived(chunk.byteLength);
      emit({ type: "blob-progress", digest, received, size, ...from });
      yield chunk;
    }
    emit({ type: "blob-done", digest, size, ...from });
  }

  const source: ContentProvider = { openContent: (descriptor, how = {}) => count(descriptor, how) };

  async function ingest(descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    const { digest, size } = descriptor;
    let isOpened = false;
    let isFollowing = false;
    const watched: ContentProvider = {
      openContent(...args) {
        isOpened = true;
        isFollowing = false;
        return source.openContent(...args);
      },
    };
    const onFollow = (): void => {
      isFollowing = true;
      emit({ type: "blob-follow", digest, size });
    };
    const onProgress = (received: number): void => {
      if (isFollowing) emit({ type: "blob-progress", digest, received, size });
    };
    const how = { signal, onFollow, onProgress };
    await slots.run(() => store.blobs.ingest(descriptor, watched, how), signal);
    if (!isOpened) emit({ type: "blob-exists", digest, size });
  }

  return {
    source,
    transferred: () => {
      const { blobs, bytes, reused } = counted;
      return { blobs, bytes, ...(reused > 0 && { reused }) };
    },
    fetch(descriptor, signal) {
      const { digest } = descriptor;
      const under = wanted.get(digest);
      if (under !== undefined) return under;
      const started = ingest(descriptor, signal);
      wanted.set(digest, started);
      return started;
    },
  };
}
