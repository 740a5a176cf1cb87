import { formatReference, parseReference, withDefaultTag } from "@stowage/reference";

import { ImageError } from "./image-error.ts";
import { requireFound, type StatusContext } from "./image-status.ts";
import { quoteName } from "./quote-name.ts";

/**
 * Gives an image one more name, which any other image loses.
 *
 * @returns the name in full.
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`; `ERR_IMAGE_INVALID_ARGUMENT` for a name with a
 *   digest, which cannot be given away.
 */
export async function tagImage(
  context: StatusContext,
  text: string,
  name: string,
): Promise<string> {
  const reference = withDefaultTag(parseReference(name));
  if (reference.digest !== undefined) {
    throw new ImageError("ERR_IMAGE_INVALID_ARGUMENT", `${quoteName(name)}: a tag has no digest`, {
      hint: "A digest names what is in the image; only a pull stores such a name.",
    });
  }
  const { record } = await requireFound(context, text);
  const full = formatReference(reference);
  await context.store.images.setName(full, record.id);
  return full;
}
