import { parseReference, type Reference } from "@stowage/reference";
import type { ImageRecord } from "@stowage/store";

import { ImageError } from "./image-error.ts";
import { canonicalNames, chooseManifest, readNames } from "./image-names.ts";
import { requireFound, type StatusContext } from "./image-status.ts";
import type { PolicyGate } from "./ports.ts";

/** How {@link requireImageAllowed} asks. */
export interface RequireAllowedOptions {
  readonly signal?: AbortSignal | undefined;
  /** As for a pull. */
  readonly source?: unknown;
}

/**
 * Asks the policy again about an image that is in the store, under the name that was asked for. An
 * ID is judged by the name that speaks for the image.
 *
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`; what the policy throws comes through.
 */
export async function requireImageAllowed(
  context: StatusContext & { readonly policy: PolicyGate },
  text: string,
  options: RequireAllowedOptions = {},
): Promise<void> {
  options.signal?.throwIfAborted();
  const { record, asked } = await requireFound(context, text);
  const reference = asked ?? (await speakerOf(context, record));
  const { host, path } = reference.repository;
  const way = chooseManifest(record, `${host}/${path}`, reference.digest);
  if (way === undefined) {
    throw new ImageError("ERR_IMAGE_NOT_FOUND", `${record.id}: has no manifest`);
  }
  const { manifest, index } = way;
  const subject = { reference, manifest, ...(index && { index }), stored: true };
  await context.policy.requireAllowed(subject, options);
}

async function speakerOf(context: StatusContext, record: ImageRecord): Promise<Reference> {
  const names = readNames(await context.store.images.namesOf(record.id));
  const [tag] = names.references.filter(({ digest }) => digest === undefined);
  const speaker = tag ?? names.references[0];
  if (speaker !== undefined) return speaker;
  const canonical = canonicalNames(names, record)?.canonical;
  if (canonical !== undefined) return parseReference(canonical);
  throw new ImageError("ERR_IMAGE_NOT_FOUND", `${record.id}: has no name to be judged by`);
}
