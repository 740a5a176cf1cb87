import type { ByteSource, ContentProvider, Descriptor, OpenContentOptions } from "@stowage/content";
import type { BlobStore } from "@stowage/store";

import type { PullProgress } from "./pull-progress.ts";
import { createSlots } from "./turn-queue.ts";

/** What came over the wire for one pull. */
export interface Transferred {
  /** Config and layers; manifests are asked for in any case, and not counted. */
  readonly blobs: number;
  /** Bytes as they were sent, those of transfers that were cut included. */
  readonly bytes: number;
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
  readonly blobs: BlobStore;
  readonly source: ContentProvider;
  readonly emit: (event: PullProgress) => void;
}

export function createBlobTransfer(options: BlobTransferOptions): BlobTransfer {
  const { blobs, emit } = options;
  const slots = createSlots(PARALLEL_BLOBS);
  const wanted = new Map<string, Promise<void>>();
  const counted = { blobs: 0, bytes: 0 };

  async function* count(descriptor: Descriptor, how: OpenContentOptions): ByteSource {
    const { digest, size, mediaType } = descriptor;
    const { offset = 0, onRestart } = how;
    let received = offset;
    let from: { readonly source: string } | undefined;
    const content = options.source.openContent(descriptor, {
      ...how,
      onOrigin(origin) {
        const host = URL.parse(origin.url)?.host;
        from = host === undefined ? undefined : { source: host };
        how.onOrigin?.(origin);
      },
      ...(onRestart !== undefined && {
        async onRestart() {
          received = 0;
          emit({ type: "blob-restart", digest, size });
          await onRestart();
        },
      }),
    });
    counted.blobs += 1;
    emit({ type: "blob-start", digest, size, mediaType, received });
    for await (const chunk of content) {
      received += chunk.byteLength;
      counted.bytes += chunk.byteLength;
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
    await slots.run(() => blobs.ingest(descriptor, watched, how), signal);
    if (!isOpened) emit({ type: "blob-exists", digest, size });
  }

  return {
    source,
    transferred: () => ({ ...counted }),
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
