/**
 * Sigstore bundles that refer to an image, as cosign 3 attaches them.
 *
 * @see https://github.com/sigstore/cosign/blob/v3.0.2/specs/BUNDLE_SPEC.md
 * @module
 */
import { type Descriptor, type Digest, readContent } from "@stowage/content";

import type { SignatureRegistry } from "../ports.ts";
import { type SignatureBudget, tooLong } from "../signature/signature-budget.ts";
import type { ImageSignature } from "../signature/signature.ts";

const BUNDLE_TYPE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v0\.3)?\+json(?:;version=0\.3)?$/;

/**
 * The bundles among what refers to a manifest; the registry's own list is asked for, or the fall-back
 * tag. What refers to it and is no bundle is not read.
 *
 * @throws {@link PolicyError} `ERR_POLICY_TOO_MANY_SIGNATURES`; what the registry throws comes
 *   through.
 */
export async function findBundles(
  manifest: Digest,
  registry: SignatureRegistry,
  {
    budget,
    signal,
  }: { readonly budget: SignatureBudget; readonly signal?: AbortSignal | undefined },
): Promise<readonly ImageSignature[]> {
  const bundles: ImageSignature[] = [];
  for await (const referrer of registry.referrers(manifest, { signal })) {
    if (!isBundle(referrer.artifactType)) continue;
    const fetched = await registry.findManifest(referrer.digest, { signal });
    // Whoever lists what is gone lists nothing; an index has no layers.
    if (fetched?.document.kind !== "manifest") continue;
    for (const layer of fetched.document.manifest.layers) {
      if (!isBundle(layer.mediaType)) continue;
      bundles.push(await readBundle(layer, referrer.digest));
    }
  }
  return bundles;

  async function readBundle(layer: Descriptor, origin: Digest): Promise<ImageSignature> {
    if (layer.size > budget.maxBytes) throw tooLong();
    budget.take(layer.size);
    const bytes = await readContent(registry, layer, { signal });
    return { format: "sigstore-bundle", bytes, origin: `the referrer ${origin}` };
  }
}

function isBundle(type: string | undefined): boolean {
  return type !== undefined && BUNDLE_TYPE.test(type);
}
