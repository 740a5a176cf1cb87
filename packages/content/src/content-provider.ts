import type { Descriptor } from "./descriptor.ts";

/**
 * Bytes on their way. Cold: nothing is opened before the first chunk is asked for. A chunk belongs
 * to whoever receives it.
 */
export type ByteSource = AsyncIterable<Uint8Array>;

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
}

/** Whoever can deliver content by its descriptor. */
export interface ContentProvider {
  openContent(descriptor: Descriptor, options?: OpenContentOptions): ByteSource;
}
