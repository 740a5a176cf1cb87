/**
 * Signatures beside the image: a manifest under a tag that is named for the manifest that they sign.
 *
 * @module
 */
import {
  algorithmOf,
  type ContentProvider,
  type Digest,
  encodedOf,
  type FetchedManifest,
  readContent,
} from "@stowage/content";
import { parseTag, type Tag } from "@stowage/reference";

import { PolicyError } from "../policy-error.ts";
import { type SignatureBudget, tooLong } from "../signature/signature-budget.ts";
import { COSIGN_SIGNATURE_TYPE, type ImageSignature } from "../signature/signature.ts";

/** The tag of the signatures of a manifest. */
export function cosignTag(digest: Digest): Tag {
  return parseTag(`${algorithmOf(digest)}-${encodedOf(digest)}.sig`);
}

/**
 * The signatures that a manifest under a {@link cosignTag} holds. Layers of other types are none,
 * and are not even read.
 *
 * @throws {@link PolicyError} `ERR_POLICY_SIGNATURE_INVALID` for an index,
 *   `ERR_POLICY_TOO_MANY_SIGNATURES`; what reading throws comes through.
 */
export async function readCosignAttachment(
  fetched: FetchedManifest,
  provider: ContentProvider,
  origin: string,
  {
    budget,
    signal,
  }: { readonly budget: SignatureBudget; readonly signal?: AbortSignal | undefined },
): Promise<readonly ImageSignature[]> {
  const { document } = fetched;
  if (document.kind === "index") {
    throw new PolicyError(
      "ERR_POLICY_SIGNATURE_INVALID",
      `${origin}: is an index, where signatures would be`,
      { hint: "Remove the tag from the registry, or have the image signed again." },
    );
  }
  const signatures: ImageSignature[] = [];
  for (const layer of document.manifest.layers) {
    if (layer.mediaType !== COSIGN_SIGNATURE_TYPE) continue;
    if (layer.size > budget.maxBytes) throw tooLong();
    budget.take(layer.size);
    const payload = await readContent(provider, layer, { signal });
    const { mediaType: mimeType, annotations = {} } = layer;
    signatures.push({ format: "sigstore-attachment", mimeType, payload, annotations, origin });
  }
  return signatures;
}
