import type { Platform } from "@stowage/content";

import type { PullProgress } from "./pull-progress.ts";

/** How an image is pulled, and by whom. */
export interface PullOptions {
  /** Stops waiting; the transfer itself goes on while another caller waits for the same pull. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Which instance of an index. An image that says in its config that it is for another
   * architecture is refused if this is given, and only remarked on if it is not.
   *
   * @defaultValue what the service was created with, else the host's
   */
  readonly platform?: Platform | undefined;
  /**
   * With a reference of both tag and digest, makes it an error if the tag names something else by
   * now. Otherwise the digest decides and nobody asks about the tag.
   *
   * @defaultValue false
   */
  readonly requireTagMatch?: boolean | undefined;
  /**
   * Whether to transfer, of a layer with a table of contents, only what no blob here has. That spares
   * the most where the way to the registry is slow; where it is fast, looking takes longer.
   *
   * @defaultValue true
   */
  readonly reuse?: boolean | undefined;
  /** Called as things happen; what it throws fails the pull of nobody. */
  readonly onProgress?: ((event: PullProgress) => void) | undefined;
  /**
   * The caller's own settings, such as credentials, TLS and mirrors: handed to the `ImageSource`
   * as they are. Two pulls are shared only if this is the same value.
   */
  readonly source?: unknown;
}
