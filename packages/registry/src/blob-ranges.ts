import {
  type ByteSource,
  ContentError,
  type Descriptor,
  hasErrorCode,
  type OpenContentOptions,
} from "@stowage/content";

import { openBlobPart } from "./blob-part.ts";
import { boundaryOf, type BlobRange, ByteRangesError, readByteRanges } from "./byte-ranges.ts";
import { redactUrl } from "./redact.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { RegistryError } from "./registry-error.ts";
import { responseError } from "./response-error.ts";
import { protocolError, singleHeader } from "./transport.ts";

/** How ranges are opened. */
export type OpenRangeOptions = Pick<OpenContentOptions, "onOrigin" | "signal">;

// A connection that breaks is taken up again, as long as each brings something.
const MAX_BREAKS = 3;
// In one request, whose headers servers take up to 8 KiB of.
const MAX_PARTS = 200;

/**
 * Ranges of a blob, one behind the other. Several are asked for together at the first place, and
 * what fails there ends them; one alone comes from the first place that has it. Exactly as many bytes
 * come as the ranges have, or an error.
 */
export async function* openBlobRanges(
  descriptor: Descriptor,
  ranges: readonly BlobRange[],
  places: readonly RegistryConnection[],
  options: OpenRangeOptions,
): ByteSource {
  for (const range of ranges) checkRange(descriptor, range);
  const [first] = places;
  for (let done = 0; done < ranges.length; done += MAX_PARTS) {
    const batch = ranges.slice(done, done + MAX_PARTS);
    const [only] = batch;
    if (only === undefined || first === undefined) return;
    if (batch.length === 1) yield* openRange(descriptor, only, places, options);
    else yield* readParts(first, descriptor, batch, options);
  }
}

function checkRange({ digest, size }: Descriptor, { offset, end }: BlobRange): void {
  const isWithin = Number.isSafeInteger(offset) && offset >= 0 && offset < end && end <= size;
  if (isWithin && Number.isSafeInteger(end)) return;
  throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: no ${offset}-${end} of ${size}`);
}

/** Where a place breaks off, it is asked for the rest, and then the next is. */
async function* openRange(
  descriptor: Descriptor,
  { offset, end }: BlobRange,
  places: readonly RegistryConnection[],
  options: OpenRangeOptions,
): ByteSource {
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
    if (part.isWhole) throw unsupported(connection, "parts of blobs");
    missing -= chunk.byteLength;
    if (missing < 0) break;
    yield chunk;
  }
  if (missing === 0) return;
  throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: not the bytes ${offset}-${end}`);
}

async function* readParts(
  connection: RegistryConnection,
  { digest, size }: Descriptor,
  ranges: readonly BlobRange[],
  { signal, onOrigin }: OpenRangeOptions,
): ByteSource {
  using _slot = await connection.blobSlots.acquire(signal);
  const wanted = ranges.map(({ offset, end }) => `${offset}-${end - 1}`).join(",");
  const headers = { range: `bytes=${wanted}` };
  const request = await connection.request("GET", `blobs/${digest}`, headers, signal);
  const response = await connection.send(request, { signal });
  if (response.status !== 200 && response.status !== 206) {
    throw await responseError(request, response, { signal });
  }
  const boundary = boundaryOf(singleHeader(request, response, "content-type"));
  if (response.status !== 206 || boundary === undefined) {
    response.cancel();
    throw unsupported(connection, "several parts of a blob at once");
  }
  onOrigin?.({ url: redactUrl(request.url) });
  try {
    yield* readByteRanges(response.body, boundary, ranges, size);
  } catch (error) {
    if (!(error instanceof ByteRangesError)) throw error;
    throw protocolError(request, response, error.message);
  }
}

function unsupported({ repository }: RegistryConnection, what: string): RegistryError {
  const message = `${repository.host} does not deliver ${what}`;
  return new RegistryError("ERR_REGISTRY_UNSUPPORTED", message);
}
