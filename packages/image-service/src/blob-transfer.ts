import type { ByteSource, ContentProvider, Descriptor } from "@stowage/content";
import type { BlobStore } from "@stowage/store";

import type { PullProgress } from "./pull-progress.ts";
import { createSlots, type TurnQueue } from "./turn-queue.ts";

/** What came over the wire for one pull. */
export interface Transferred {
  /** Config and layers; manifests are asked for in any case, and not counted. */
  readonly blobs: number;
  /** Bytes as they were sent, those of transfers that were cut included. */
  readonly bytes: number;
}

/** Gets the blobs of one image. */
export interface BlobTransfer {
  /** Resolves when the blob is in the store; a blob that is wanted twice is got once. */
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
  /** One transfer per digest in the process: the next in turn finds the blob in the store. */
  readonly turns: TurnQueue;
  readonly emit: (event: PullProgress) => void;
}

export function createBlobTransfer(options: BlobTransferOptions): BlobTransfer {
  const { blobs, turns, emit } = options;
  const slots = createSlots(PARALLEL_BLOBS);
  const wanted = new Map<string, Promise<void>>();
  const counted = { blobs: 0, bytes: 0 };

  async function* count(descriptor: Descriptor, content: ByteSource, offset: number): ByteSource {
    const { digest, size, mediaType } = descriptor;
    let received = offset;
    counted.blobs += 1;
    emit({ type: "blob-start", digest, size, mediaType });
    for await (const chunk of content) {
      received += chunk.byteLength;
      counted.bytes += chunk.byteLength;
      emit({ type: "blob-progress", digest, received, size });
      yield chunk;
    }
    emit({ type: "blob-done", digest, size });
  }

  const source: ContentProvider = {
    openContent: (descriptor, how) =>
      count(descriptor, options.source.openContent(descriptor, how), how?.offset ?? 0),
  };

  async function ingest(descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    const { digest, size } = descriptor;
    let isOpened = false;
    const watched: ContentProvider = {
      openContent(...args) {
        isOpened = true;
        return source.openContent(...args);
      },
    };
    await slots.run(() => blobs.ingest(descriptor, watched, { signal }), signal);
    if (!isOpened) emit({ type: "blob-exists", digest, size });
  }

  return {
    source,
    transferred: () => ({ ...counted }),
    fetch(descriptor, signal) {
      const { digest } = descriptor;
      const under = wanted.get(digest);
      if (under !== undefined) return under;
      const started = turns.run(digest, () => ingest(descriptor, signal), signal);
      wanted.set(digest, started);
      return started;
    },
  };
}
