import type { ImageService, ImageSource, OpenedImage } from "@stowage/image-service";
import type { TransferEvent } from "@stowage/registry";
import type { Store } from "@stowage/store";

import { type RegistriesSource, registriesSource } from "./open-registry-client.ts";
import { watchPolicy } from "./policy-in-force.ts";
import type { RuntimeOptions } from "./runtime-options.ts";
import { withShortNames } from "./short-names.ts";
import { accessOf, wirePolicyGate } from "./wire-policy-gate.ts";
import { wireRegistry } from "./wire-registry.ts";
import {
  type SignatureRegistries,
  signatureRegistry,
  withRegistriesD,
} from "./wire-signature-source.ts";

/** Makes a source, which tells of each image it opens where its signatures are. */
export type SourceFor = (signatures: SignatureRegistries) => ImageSource;

/** An image service over `store` that pulls from registries and asks the policy file. */
export async function wireImageService(
  store: Store,
  options: RuntimeOptions,
  sourceFor?: SourceFor,
): Promise<ImageService> {
  const { createImageService } = await import("@stowage/image-service");
  const { pinned = [], pauseImage, onWarning } = options;
  const registries = registriesSource(options);
  const signatures: SignatureRegistries = new WeakMap();
  const source = sourceFor?.(signatures) ?? imageSource(options, registries, signatures);
  const images = createImageService({
    store,
    source: withRegistriesD(source, options),
    policy: wirePolicyGate(options, signatures, watchPolicy(store, options)),
    // Without its pause image no pod could be made until it is pulled again.
    pinned: pauseImage === undefined ? pinned : [...pinned, await fullName(pauseImage)],
    onWarning: (warning) => onWarning?.(warning.message, warning.cause),
  });
  return withShortNames(images, registries, options);
}

async function fullName(image: string): Promise<string> {
  const { formatReference, parseReference, withDefaultTag } = await import("@stowage/reference");
  return formatReference(withDefaultTag(parseReference(image)));
}

/** Opens registries, and remembers them for whoever looks for signatures. */
export function imageSource(
  options: RuntimeOptions,
  registries: RegistriesSource,
  signatures: SignatureRegistries,
): ImageSource {
  return {
    async open(reference, { source, onProgress }) {
      const onTransfer = (event: TransferEvent): void => {
        // A pull tells of blobs that are begun anew itself, and uploads nothing.
        if (event.type !== "restart" && event.type !== "upload-resume") onProgress?.(event);
      };
      const client = await wireRegistry(options, accessOf(source), { registries, onTransfer });
      const repository = client.repository(reference.repository);
      const opened = {
        fetchManifest: (target, wait) => repository.fetchManifest(target, wait),
        openContent: (descriptor, wait) => repository.openContent(descriptor, wait),
        openRanges: (descriptor, ranges, wait) => repository.openRanges(descriptor, ranges, wait),
        [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
      } satisfies OpenedImage;
      signatures.set(opened, signatureRegistry(repository));
      return opened;
    },
  } satisfies ImageSource;
}
