/**
 * Blobs from any of several places, through broken connections, and held to their digest.
 *
 * @module
 */
import {
  algorithmOf,
  type ByteSource,
  ContentError,
  type ContentOrigin,
  createDigester,
  type Descriptor,
  type Digester,
  hasErrorCode,
  type OpenContentOptions,
} from "@stowage/content";

import { BlobStream, type BlobStreamEvent } from "./blob-stream.ts";
import { codeOf, publishBlob } from "./diagnostics.ts";
import type { RegistryConnection } from "./registry-connection.ts";

/** A blob that is begun anew, since what had come was not what its digest names. */
export interface RestartEvent {
  readonly type: "restart";
  readonly digest: string;
  /** The bytes that are void now. */
  readonly received: number;
}

/** How {@link openBlob} reads. */
export interface OpenBlobOptions extends OpenContentOptions {
  /** Where to look, in order. */
  readonly sources: readonly RegistryConnection[];
  /** The one of them whose word is final; the others are mirrors. */
  readonly primary: RegistryConnection;
  readonly maxRanges?: number | undefined;
  readonly onEvent?: ((event: BlobStreamEvent | RestartEvent) => void) | undefined;
  /** Told of each mirror that did not deliver, and of each that delivered other bytes. */
  readonly onMirrorFailed: (mirror: RegistryConnection, error: unknown, tampering: boolean) => void;
}

// Up to here a blob is held back until it is verified, so that any reader is spared a false start.
const HELD_BACK = 1024 * 1024;

/**
 * The bytes of a blob. A connection that breaks is taken up again where it broke, at the same place
 * or at the next. From offset 0 all bytes together are held to the descriptor, from elsewhere only
 * their number.
 *
 * Bytes that turn out to be others are got again: from the places that had no part in them, or once
 * more from the only one.
 */
export async function* openBlob(descriptor: Descriptor, options: OpenBlobOptions): ByteSource {
  const { digest, size } = descriptor;
  const { offset = 0 } = options;
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw new ContentError("ERR_CONTENT_SIZE_MISMATCH", `${digest}: no byte ${offset} of ${size}`);
  }
  if (offset > 0 || size > HELD_BACK) return yield* new BlobReading(descriptor, options).read();
  const held: Uint8Array[] = [];
  const onRestart = (): void => void held.splice(0);
  // Nobody has seen any of it.
  const onEvent: OpenBlobOptions["onEvent"] = (event) => {
    if (event.type !== "restart") options.onEvent?.(event);
  };
  const how = { ...options, onRestart, onEvent, computeDigest: undefined };
  const reading = new BlobReading(descriptor, how);
  for await (const chunk of reading.read()) held.push(chunk);
  yield* held;
}

class BlobReading {
  readonly #descriptor: Descriptor;
  readonly #options: OpenBlobOptions;
  readonly #left: RegistryConnection[];
  readonly #stream: BlobStream;
  /** Those who delivered some of the bytes that are here. */
  readonly #suspects = new Set<RegistryConnection>();
  /** Whether all bytes come from here, so that they can be held to their digest. */
  #isFromStart: boolean;
  #digester: Digester | undefined;
  #isRefetched = false;

  constructor(descriptor: Descriptor, options: OpenBlobOptions) {
    const { offset = 0, sources, maxRanges, signal, onOrigin, onEvent } = options;
    this.#descriptor = descriptor;
    this.#options = options;
    this.#isFromStart = offset === 0;
    this.#digester = this.#createDigester();
    this.#stream = new BlobStream(descriptor, {
      offset,
      maxRanges,
      signal,
      onOrigin,
      onEvent,
      ...(options.onRestart !== undefined && { onRestart: () => this.#restart() }),
    });
    const { origin } = options;
    const earlier = sources.find((source) => servedFrom(source, descriptor, origin));
    if (origin !== undefined && earlier !== undefined) this.#stream.setOrigin(earlier, origin);
    // Where the first bytes came from the others are, most likely.
    this.#left = [...new Set([...(earlier === undefined ? [] : [earlier]), ...sources])];
  }

  async *read(): ByteSource {
    const { digest, size } = this.#descriptor;
    const { primary, signal, onMirrorFailed } = this.#options;
    let failure: unknown;
    for (;;) {
      const source = this.#left[0];
      if (source === undefined) throw failure;
      const told = { digest, size, source: source.repository.host } as const;
      publishBlob({ type: "start", received: this.#stream.received, ...told });
      try {
        for await (const chunk of this.#stream.readFrom(source, this.#left.length > 1)) {
          this.#suspects.add(source);
          this.#digester?.update(chunk);
          yield chunk;
        }
        await this.#verify();
        publishBlob({ type: "done", received: size, ...told });
        return;
      } catch (error) {
        signal?.throwIfAborted();
        const { received } = this.#stream;
        publishBlob({ type: "failed", received, error: codeOf(error), ...told });
        if (hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH")) {
          await this.#distrust(error);
        } else {
          this.#left.shift();
          const tampering = hasErrorCode(error, "ERR_CONTENT_SIZE_MISMATCH");
          if (source === primary) failure = error;
          else onMirrorFailed(source, error, tampering);
          failure ??= error;
        }
      }
    }
  }

  #createDigester(): Digester | undefined {
    if (!this.#isFromStart || this.#options.computeDigest !== undefined) return undefined;
    return createDigester(algorithmOf(this.#descriptor.digest));
  }

  async #verify(): Promise<void> {
    if (!this.#isFromStart) return;
    const { digest } = this.#descriptor;
    const actual = this.#digester?.digest() ?? (await this.#options.computeDigest?.());
    if (actual === undefined || actual === digest) return;
    throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", `${digest}: bytes are ${actual}`);
  }

  /** Puts aside who may have delivered the wrong bytes; throws if nobody is left. */
  async #distrust(error: unknown): Promise<void> {
    const { primary, onRestart, onMirrorFailed } = this.#options;
    const mirrors = [...this.#suspects].filter((suspect) => suspect !== primary);
    for (const mirror of mirrors) {
      onMirrorFailed(mirror, error, true);
      if (this.#left.includes(mirror)) this.#left.splice(this.#left.indexOf(mirror), 1);
    }
    if (mirrors.length === 0) {
      // A bit may flip once on its way; a second time it is the registry's own.
      if (this.#isRefetched) throw error;
      this.#isRefetched = true;
    }
    if (this.#left.length === 0 || onRestart === undefined) throw error;
    await this.#restart();
  }

  async #restart(): Promise<void> {
    const { digest, size } = this.#descriptor;
    const { received } = this.#stream;
    this.#options.onEvent?.({ type: "restart", digest, received });
    const source = this.#left[0]?.repository.host ?? "";
    publishBlob({ type: "restart", digest, size, received, source });
    await this.#options.onRestart?.();
    this.#suspects.clear();
    this.#isFromStart = true;
    this.#digester = this.#createDigester();
    this.#stream.rewind();
  }
}

/** Whether a place is the one that bytes came from. */
function servedFrom(
  connection: RegistryConnection,
  { digest }: Descriptor,
  origin: ContentOrigin | undefined,
): boolean {
  const url = URL.parse(origin?.url ?? "");
  return url !== null && connection.isBlob(url, digest);
}
