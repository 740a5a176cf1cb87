import type { PullProgress } from "@stowage/image-service";
import type { CopyProgress, PushedBlob } from "@stowage/registry";

/** A pull into the store, told and counted as the copy that it is a part of. */
export interface PullCounts {
  readonly onProgress: (event: PullProgress) => void;
  /** Counted until now. */
  readonly blobs: Readonly<Record<PushedBlob, number>>;
}

export function countPull(onProgress: ((event: CopyProgress) => void) | undefined): PullCounts {
  const blobs = { existed: 0, mounted: 0, uploaded: 0 };
  return {
    blobs,
    onProgress(event) {
      const { type } = event;
      if (type === "blob-start") {
        onProgress?.({ type, digest: event.digest, size: event.size });
      } else if (type === "blob-progress") {
        const { digest, size, received: written } = event;
        onProgress?.({ type, digest, size, written });
      } else if (type === "blob-done" || type === "blob-exists" || type === "layer-exists") {
        const how = type === "blob-done" ? "uploaded" : "existed";
        blobs[how] += 1;
        onProgress?.({ type: "blob-done", digest: event.digest, size: event.size, how });
      }
    },
  };
}
