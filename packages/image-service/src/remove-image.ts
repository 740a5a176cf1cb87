import { type Digest, hasErrorCode } from "@stowage/content";

import type { RemoveImageOptions } from "@stowage/store";

import { findImageID, findNamedID } from "./find-image.ts";
import { ImageError } from "./image-error.ts";
import { requireFound, type StatusContext } from "./image-status.ts";

/** What is gone. */
export interface RemovedImage {
  /** The names that were removed. */
  readonly names: readonly string[];
  /** The image, if it went too. */
  readonly id?: Digest;
  /** The image that stays, and the names that it has left. */
  readonly kept?: { readonly id: Digest; readonly names: readonly string[] };
}

/**
 * Removes an image with all its names, and what only it needed.
 *
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`; `ERR_IMAGE_IN_USE` naming the containers;
 *   `ERR_IMAGE_PINNED`.
 */
export async function removeImage(context: StatusContext, text: string): Promise<RemovedImage> {
  const { store } = context;
  // By ID or by name a record that cannot be read can be removed too.
  const id = (await findImageID(store, text)) ?? (await findNamedID(store, text));
  return await removeByID(context, id ?? (await requireFound(context, text)).record.id);
}

/**
 * As {@link removeImage}, of an image that has been found.
 *
 * @param onlyIf - What has to be true of it still, else it is in use.
 */
export async function removeByID(
  context: StatusContext,
  id: Digest,
  onlyIf?: RemoveImageOptions["onlyIf"],
): Promise<RemovedImage> {
  const { store } = context;
  const names = await store.images.namesOf(id);
  if (context.isPinned(names)) {
    throw new ImageError("ERR_IMAGE_PINNED", `${id}: is pinned, as ${names.join(", ")}`, {
      hint: "Untag the pinned name while the image has another, or take it off the pinned images.",
    });
  }
  try {
    await store.images.remove(id, { onlyIf });
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_STORE_IMAGE_IN_USE")) {
      throw new ImageError("ERR_IMAGE_IN_USE", cause.message, { cause });
    }
    // Somebody else removed it since it was found: that is what was wanted.
    if (!hasErrorCode(cause, "ERR_STORE_IMAGE_NOT_FOUND")) throw cause;
  }
  return { names, id };
}
