import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/**
 * Bytes on their way. Cold: nothing is opened before the first chunk is asked for. A chunk belongs
 * to whoever receives it.
 */
export type ByteSource = AsyncIterable<Uint8Array>;

/** Where bytes came from; enough to go on there later, in another process too. */
export interface ContentOrigin {
  /** Without query and user information: it may be shown and kept. */
  readonly url: string;
  /** The strong validator that the server gave to this version of the bytes. */
  readonly validator?: string | undefined;
}

/** How content is opened. */
export interface OpenContentOptions {
  /** Ends the reading; the iteration rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The first byte wanted. What is read from elsewhere than 0 cannot be verified by itself.
   *
   * @defaultValue 0
   */
  readonly offset?: number | undefined;
  /** Where the bytes before `offset` came from, so that the rest is taken from the same version. */
  readonly origin?: ContentOrigin | undefined;
  /** Told where the bytes that follow come from: before the first, and whenever it changes. */
  readonly onOrigin?: ((origin: ContentOrigin) => void) | undefined;
  /**
   * Told that all bytes so far are void, those before `offset` included, and that byte 0 follows.
   * Only a reader who gives it is begun anew; the others get an error.
   */
  readonly onRestart?: (() => Promise<void> | void) | undefined;
  /**
   * Given by a reader who hashes what it gets: resolves to the digest of all bytes from byte 0 on.
   * Whoever delivers may ask, once behind the last byte, instead of hashing them a second time.
   */
  readonly computeDigest?: (() => Promise<Digest>) | undefined;
}

/** Whoever can deliver content by its descriptor. */
export interface ContentProvider {
  openContent(descriptor: Descriptor, options?: OpenContentOptions): ByteSource;
}
