import {
  type ByteSource,
  ContentError,
  type Descriptor,
  hasErrorCode,
  type OpenContentOptions,
  verifyContent,
} from "@stowage/content";

import { type BlobPart, openBlobPart } from "./blob-part.ts";
import type { RegistryConnection } from "./registry-connection.ts";

/** A blob whose connection broke and that is about to go on where it stopped. */
export interface ResumeEvent {
  readonly type: "resume";
  readonly digest: string;
  /** The bytes that are here. */
  readonly received: number;
}

/** How {@link openBlob} reads. */
export interface OpenBlobOptions extends OpenContentOptions {
  /** Tries the places of a repository in order until one delivers. */
  readonly attempt: <Result>(
    task: (connection: RegistryConnection) => Promise<Result>,
  ) => Promise<Result>;
  readonly onEvent?: ((event: ResumeEvent) => void) | undefined;
}

// A further break is forgiven only after real progress, or a server that always breaks would hold
// us for ever.
const RESUME_AFTER_BYTES = 1024 * 1024;
const RESUME_AFTER_TIME = 60_000;

/**
 * The bytes of a blob. A connection that breaks is taken up again where it broke; from offset 0 all
 * bytes together are held to the descriptor, from elsewhere only their number.
 */
export function openBlob(descriptor: Descriptor, options: OpenBlobOptions): ByteSource {
  const { offset = 0 } = options;
  const source = resumed(descriptor, offset, options);
  return offset === 0 ? verifyContent(source, descriptor) : counted(source, descriptor, offset);
}

async function* resumed(
  { digest, size }: Descriptor,
  offset: number,
  options: OpenBlobOptions,
): ByteSource {
  const { signal, attempt, onEvent } = options;
  let received = offset;
  let last: { readonly received: number; readonly time: number } | undefined;
  let previous: BlobPart | undefined;
  for (;;) {
    // A connection's slot is held while its bytes flow, so it is taken inside the attempt.
    const part = await attempt((connection) =>
      openBlobPart(connection, { digest, size, offset: received, previous, signal }),
    );
    previous = part;
    using _slot = part.slot;
    try {
      for await (const chunk of part.bytes) {
        received += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      const time = performance.now();
      const progressed =
        last === undefined ||
        received - last.received >= RESUME_AFTER_BYTES ||
        time - last.time >= RESUME_AFTER_TIME;
      if (!hasErrorCode(error, "ERR_REGISTRY_UNAVAILABLE") || !progressed) throw error;
      last = { received, time };
      onEvent?.({ type: "resume", digest, received });
    }
    if (received === size) return;
  }
}

async function* counted(
  source: ByteSource,
  { digest, size }: Descriptor,
  offset: number,
): ByteSource {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: no byte ${offset} of ${size}`);
  }
  let received = offset;
  for await (const chunk of source) {
    received += chunk.byteLength;
    if (received > size) {
      throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: more than ${size} bytes`);
    }
    yield chunk;
  }
  if (received < size) {
    throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: ${received} of ${size} bytes`);
  }
}
