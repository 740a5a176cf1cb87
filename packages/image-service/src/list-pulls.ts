import type { Digest } from "@stowage/content";
import type { Store } from "@stowage/store";

/** A pull that is under way, of whatever process. */
export interface PullInFlight {
  /** The name that the image gets. */
  readonly name: string;
  /** Of its manifest. */
  readonly digest: Digest;
  /** Whose it is, as it knows itself. */
  readonly pid: number;
  /** When it had its manifest and the policy's word: an ISO 8601 time. */
  readonly since: string;
  /** Bytes of its layers that are here, whoever brought them. All: it is unpacking. */
  readonly received: number;
  /** Bytes of its layers. */
  readonly size: number;
  readonly blobs: readonly {
    readonly digest: Digest;
    readonly received: number;
    readonly size: number;
  }[];
}

/** The pulls into a store that are under way, the oldest first. */
export async function listPulls(store: Store): Promise<readonly PullInFlight[]> {
  const transfers = await store.listTransfers();
  return transfers
    .map(({ name, digest, pid, since, content }) => ({
      name,
      digest,
      pid,
      since,
      received: content.reduce((sum, { received }) => sum + received, 0),
      size: content.reduce((sum, { size }) => sum + size, 0),
      blobs: content,
    }))
    .toSorted((a, b) => (a.since < b.since ? -1 : 1));
}
