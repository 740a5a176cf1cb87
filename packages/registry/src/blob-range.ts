import {
  type ByteSource,
  ContentError,
  type Descriptor,
  hasErrorCode,
  type OpenContentOptions,
} from "@stowage/content";

import { openBlobPart } from "./blob-part.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryConnection } from "./registry-connection.ts";

/** Bytes from `offset` to the one before `end`. */
export interface BlobRange {
  readonly offset: number;
  readonly end: number;
}

/** How a range is opened. */
export type OpenRangeOptions = Pick<OpenContentOptions, "onOrigin" | "signal">;

// A connection that breaks is taken up again, as long as each brings something.
const MAX_BREAKS = 3;

/**
 * A range of a blob from the first place that has it. Where a place breaks off, it is asked for the
 * rest, and then the next is. Exactly as many bytes come as the range has, or an error.
 */
export async function* openBlobRange(
  descriptor: Descriptor,
  range: BlobRange,
  places: readonly RegistryConnection[],
  options: OpenRangeOptions,
): ByteSource {
  const { digest, size } = descriptor;
  const { offset, end } = range;
  if (!(Number.isSafeInteger(offset) && offset >= 0 && offset <= end && end <= size)) {
    throw new ContentError(
      "ERR_CONTENT_SIZE_MISMATCH",
      `${digest}: no ${offset}-${end} of ${size}`,
    );
  }
  let received = offset;
  let failure: unknown;
  for (const place of places) {
    for (let breaks = 0; breaks < MAX_BREAKS && received < end; breaks += 1) {
      const begun = received;
      try {
        for await (const chunk of readRange(
          place,
          descriptor,
          { offset: received, end },
          options,
        )) {
          received += chunk.byteLength;
          yield chunk;
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        failure = error;
        const isPassing = hasErrorCode(error, "ERR_REGISTRY_UNAVAILABLE", "ERR_REGISTRY_STALLED");
        if (!isPassing || received === begun) break;
      }
    }
    if (received === end) return;
  }
  throw failure;
}

async function* readRange(
  connection: RegistryConnection,
  { digest, size }: Descriptor,
  { offset, end }: BlobRange,
  { signal, onOrigin }: OpenRangeOptions,
): ByteSource {
  using _slot = await connection.blobSlots.acquire(signal);
  const part = await openBlobPart(connection, { digest, size, offset, end, signal });
  let missing = end - offset;
  if (!part.isWhole) onOrigin?.(part.origin);
  for await (const chunk of part.bytes) {
    if (part.isWhole) {
      const message = `${connection.repository.host} does not deliver parts of blobs`;
      throw new RegistryError("ERR_REGISTRY_UNSUPPORTED", message);
    }
    missing -= chunk.byteLength;
    if (missing < 0) break;
    yield chunk;
  }
  if (missing === 0) return;
  throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: not the bytes ${offset}-${end}`);
}
