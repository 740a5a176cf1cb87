import { type Digest, parseDigest } from "@stowage/content";
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
      if (type === "resolved") {
        const { canonical, layers, bytes } = event;
        const digest = digestIn(canonical);
        onProgress?.({ type: "manifest-start", digest, blobs: layers + 1, bytes });
      } else if (type === "blob-start") {
        onProgress?.({ type, digest: event.digest, size: event.size });
      } else if (type === "blob-progress") {
        const { digest, size, received: written, source } = event;
        onProgress?.({ type, digest, size, written, ...(source !== undefined && { source }) });
      } else if (type === "blob-done") {
        blobs.uploaded += 1;
        onProgress?.({ ...event, how: "uploaded" });
      } else if (type === "blob-exists" || type === "layer-exists") {
        const { digest, size } = event;
        blobs.existed += 1;
        onProgress?.({ type: "blob-done", digest, size, how: "existed" });
      }
    },
  };
}

/** The digest of the manifest that a canonical name is of. */
export function digestIn(canonical: string): Digest {
  return parseDigest(canonical.slice(canonical.lastIndexOf("@") + 1));
}
