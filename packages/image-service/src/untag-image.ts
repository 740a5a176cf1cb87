import { type Digest, hasErrorCode } from "@stowage/content";

import type { ImageInUse } from "@stowage/store";

import { findImageID, readName } from "./find-image.ts";
import { ImageError } from "./image-error.ts";
import type { StatusContext } from "./image-status.ts";
import { quoteName } from "./quote-name.ts";
import { type RemovedImage, removeByID } from "./remove-image.ts";

/** Which name is meant. */
export interface UntagOptions {
  readonly signal?: AbortSignal | undefined;
  /** The image that the name has to be of; a name of another is not found. */
  readonly onlyOf?: Digest | undefined;
}

/**
 * Removes a name, and the image when that was its last; given an ID, removes the image.
 *
 * Only a name that is stored can be removed: one that merely leads to an image, as each of its
 * digests does, is not found.
 *
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`; `ERR_IMAGE_IN_USE` or `ERR_IMAGE_PINNED` if the
 *   image would go.
 */
export async function untagImage(
  context: StatusContext,
  text: string,
  options: UntagOptions = {},
): Promise<RemovedImage> {
  const { store } = context;
  const { onlyOf } = options;
  const byId = await findImageID(store, text);
  if (byId !== undefined) return await removeByID(context, byId);
  const name = readName(text);
  const id = name === undefined ? undefined : await store.images.resolveName(name);
  const isMeant = onlyOf === undefined || id === onlyOf;
  if (name === undefined || id === undefined || !isMeant) {
    throw new ImageError("ERR_IMAGE_NOT_FOUND", `${quoteName(text)}: no image has this name`);
  }
  // Of an image without any, the name has moved: it is for the one that has it now to lose.
  const isLast = ({ names }: ImageInUse): boolean =>
    names.length > 0 && names.every((it) => it.name === name);
  if (await hasOnly(context, id, name)) {
    try {
      return await removeByID(context, id, isLast);
    } catch (error) {
      // Whoever has given it another name meanwhile wants it to stay.
      if (!hasErrorCode(error, "ERR_IMAGE_IN_USE") || (await hasOnly(context, id, name)))
        throw error;
    }
  }
  const isGone = await store.images.removeName(name, { onlyIf: ({ imageId }) => imageId === id });
  // It is of another image by now, which must not lose it unless that is what was asked for.
  if (!isGone && (await store.images.resolveName(name)) !== undefined)
    return await untagImage(context, text, options);
  const left = await store.images.namesOf(id);
  // Whoever took the others at the same moment left the image to this name.
  if (left.length === 0 && (await removeIfUnused(context, id))) return { names: [name], id };
  return { names: [name], kept: { id, names: left } };
}

async function hasOnly({ store }: StatusContext, id: Digest, name: string): Promise<boolean> {
  const names = await store.images.namesOf(id);
  return names.length > 0 && names.every((other) => other === name);
}

async function removeIfUnused(context: StatusContext, id: Digest): Promise<boolean> {
  try {
    await removeByID(context, id, ({ names }) => names.length === 0);
    return true;
  } catch (error) {
    if (hasErrorCode(error, "ERR_IMAGE_IN_USE")) return false;
    throw error;
  }
}
