import type { Reference } from "@stowage/reference";

import type { ImageSource, OpenedImage } from "./ports.ts";
import type { PullOptions } from "./pull-options.ts";

/**
 * Opens the source of an image, lends it to `use`, and closes it exactly once: when `use` is done,
 * has failed or was stopped. What `use` throws is what comes out.
 */
export async function withOpenedImage<T>(
  source: ImageSource,
  reference: Reference,
  options: PullOptions,
  use: (opened: OpenedImage) => Promise<T>,
): Promise<T> {
  const opened = await source.open(reference, options);
  await using _owner = {
    async [Symbol.asyncDispose]() {
      try {
        await opened[Symbol.asyncDispose]();
      } catch (error) {
        // It would hide what `use` threw, and what was read has been verified by now.
        options.onProgress?.({ type: "warning", message: `source not closed: ${String(error)}` });
      }
    },
  };
  options.signal?.throwIfAborted();
  return await use(opened);
}
