import type { ImageService, ImageSource, OpenedImage } from "@stowage/image-service";
import type { Store } from "@stowage/store";

import type { RuntimeOptions } from "./runtime-options.ts";
import { wirePolicyGate } from "./wire-policy-gate.ts";
import { wireRegistry } from "./wire-registry.ts";
import { type SignatureRegistries, signatureRegistry } from "./wire-signature-source.ts";

/** Makes a source, which tells of each image it opens where its signatures are. */
export type SourceFor = (registries: SignatureRegistries) => ImageSource;

/** An image service over `store` that pulls from registries and asks the policy file. */
export async function wireImageService(
  store: Store,
  options: RuntimeOptions,
  sourceFor: SourceFor = (registries) => imageSource(options, registries),
): Promise<ImageService> {
  const { createImageService } = await import("@stowage/image-service");
  const { pinned = [], pauseImage, onWarning } = options;
  const registries: SignatureRegistries = new WeakMap();
  return createImageService({
    store,
    source: sourceFor(registries),
    policy: wirePolicyGate(options, registries),
    // Without its pause image no pod could be made until it is pulled again.
    pinned: pauseImage === undefined ? pinned : [...pinned, await fullName(pauseImage)],
    onWarning: (warning) => onWarning?.(warning.message, warning.cause),
  });
}

async function fullName(image: string): Promise<string> {
  const { formatReference, parseReference, withDefaultTag } = await import("@stowage/reference");
  return formatReference(withDefaultTag(parseReference(image)));
}

/** Opens registries, and remembers them for whoever looks for signatures. */
export function imageSource(options: RuntimeOptions, registries: SignatureRegistries): ImageSource {
  return {
    async open(reference, { source }) {
      const given = typeof source === "object" && source !== null ? source : {};
      const client = await wireRegistry(options, given);
      const repository = client.repository(reference.repository);
      const opened = {
        fetchManifest: (target, wait) => repository.fetchManifest(target, wait),
        openContent: (descriptor, wait) => repository.openContent(descriptor, wait),
        [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
      } satisfies OpenedImage;
      registries.set(opened, signatureRegistry(client, repository));
      return opened;
    },
  } satisfies ImageSource;
}
