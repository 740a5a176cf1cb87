/**
 * What is being brought into the store under a lease, for others to see.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { join } from "node:path";

import type { Descriptor, Digest, JsonValue } from "@stowage/content";

import { type BlobClaim, ingestDirectory } from "./ingest.ts";
import { RecordShape } from "./record-shape.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath } from "./store-layout.ts";

/** What is being brought under a lease, as its owner says. */
export interface Transfer {
  /** As people know it. */
  readonly name: string;
  /** What it is. */
  readonly digest: Digest;
  /** The blobs that are brought, or are here already. */
  readonly content: readonly Pick<Descriptor, "digest" | "size">[];
}

/** A {@link Transfer} of a living process, as far as it has come. */
export interface ListedTransfer extends Omit<Transfer, "content"> {
  /** Whose it is. */
  readonly pid: number;
  /** When it began: an ISO 8601 time. */
  readonly since: string;
  readonly content: readonly (Pick<Descriptor, "digest" | "size"> & {
    /** Bytes that are here, whoever brought them. */
    readonly received: number;
  })[];
}

/** A {@link Transfer} as a lease keeps it. */
export interface KeptTransfer extends Transfer {
  readonly since: string;
}

/** Reads the field of a lease's record. */
export function parseTransfer(value: JsonValue): KeptTransfer {
  const shape = new RecordShape(value, "lease.transfer", ["name", "digest", "since", "content"]);
  return {
    name: shape.string("name"),
    digest: shape.digest("digest"),
    since: shape.time("since"),
    content: shape.list("content").map((item) => {
      const claim = new RecordShape(item, "lease.transfer.content", ["digest", "size"]);
      return { digest: claim.digest("digest"), size: claim.count("size") };
    }),
  };
}

/** How many bytes of a blob are here: all, or the beginning that a download has brought. */
export function receivedOf(context: StoreContext, claim: BlobClaim): number {
  const { size } = claim;
  const isWhole = (): boolean => sizeOf(blobPath(context.layout, claim.digest)) === size;
  if (isWhole()) return size;
  const partial = sizeOf(join(ingestDirectory(context, claim), "data"));
  if (partial !== undefined) return Math.min(partial, size);
  // What is complete is moved from the one place to the other, perhaps just now.
  return isWhole() ? size : 0;
}

function sizeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.size;
}
