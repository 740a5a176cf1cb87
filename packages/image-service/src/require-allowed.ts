import { readContent } from "@stowage/content";
import { parseReference, type Reference } from "@stowage/reference";
import type { ImageManifestRecord, ImageRecord, Store } from "@stowage/store";

import { ImageError } from "./image-error.ts";
import { canonicalNames, chooseManifest, readNames } from "./image-names.ts";
import { requireFound, type StatusContext } from "./image-status.ts";
import type { PolicyGate, PolicySubject } from "./ports.ts";

/** As many as a policy package packs: 128 of 16 MiB together, in base64. */
const MAX_SIGNATURES_BYTES = 32 * 1024 * 1024;

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
 * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`, `ERR_IMAGE_SIGNATURES_DAMAGED`; what the policy
 *   throws comes through.
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
  const subject = await storedSubject(context.store, reference, way, options.signal);
  await context.policy.requireAllowed(subject, options);
}

/**
 * An image that is in the store, for a policy to judge under the name `reference`.
 *
 * @throws {@link ImageError} `ERR_IMAGE_SIGNATURES_DAMAGED`
 */
export async function storedSubject(
  store: Store,
  reference: Reference,
  way: ImageManifestRecord,
  signal: AbortSignal | undefined,
): Promise<PolicySubject> {
  const { manifest, index } = way;
  const signatures = await readSignatures(store, way, signal);
  return {
    reference,
    manifest,
    ...(index && { index }),
    stored: true,
    ...(signatures && { signatures }),
  };
}

/** @throws {@link ImageError} `ERR_IMAGE_SIGNATURES_DAMAGED` */
async function readSignatures(
  store: Store,
  { signatures }: ImageManifestRecord,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  if (signatures === undefined) return undefined;
  try {
    return await readContent(store.blobs, signatures, { maxBytes: MAX_SIGNATURES_BYTES, signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ImageError(
      "ERR_IMAGE_SIGNATURES_DAMAGED",
      `${signatures.digest}: the signatures that were kept with the image are damaged or gone`,
      { cause, hint: "Pull the image again." },
    );
  }
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
