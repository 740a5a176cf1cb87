import { ContentError, type Digest, type FetchedManifest, type Platform } from "@stowage/content";
import type { OpenedImage, PulledImage, PullProgress } from "@stowage/image-service";
import type { SignatureRegistry } from "@stowage/policy";
import type { Reference } from "@stowage/reference";
import type { CopySource } from "@stowage/registry";

import { registriesSource } from "../open-registry-client.ts";
import type { Runtime } from "../runtime.ts";
import type { RuntimeOptions } from "../runtime-options.ts";
import { askShortName } from "../short-names.ts";
import { wireImageService } from "../wire-image-service.ts";

/** What {@link pullFrom} needs of a place. */
export type PullPlace = Pick<CopySource, "fetchManifest" | "fetchRoot" | "name" | "openContent">;

/** How {@link pullFrom} pulls. */
export interface PullFromOptions {
  readonly platform?: Platform | undefined;
  readonly onProgress?: ((event: PullProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly runtime: RuntimeOptions;
  /**
   * Where the policy finds signatures of the image under the name that it goes by here. None: an
   * image that has to be signed is refused.
   */
  readonly signatures?: ((name: Reference) => SignatureRegistry) | undefined;
}

/** The name in the store that a short one means, if that could be asked. */
export async function askPlace(
  image: string,
  options: RuntimeOptions,
): Promise<{ readonly name: string; keep(): Promise<void> }> {
  const { candidates, keep } = await askShortName(
    registriesSource(options),
    image,
    options,
    options.signal,
  );
  const [only = image] = candidates;
  // Where nobody was asked, several are tried in their order, as by a pull.
  return { name: candidates.length === 1 ? only : image, keep };
}

/**
 * Brings an image of any place into the store under a name, as a pull of that name would: the policy
 * is asked about the name, all is verified, unpacked and recorded.
 */
export async function pullFrom(
  source: PullPlace,
  { store }: Pick<Runtime, "store">,
  name: string,
  { platform, onProgress, signal, runtime, signatures }: PullFromOptions,
): Promise<PulledImage> {
  const images = await wireImageService(store, runtime, (registries) => ({
    async open(reference) {
      const opened = lend(source);
      if (signatures !== undefined) registries.set(opened, signatures(reference));
      return opened;
    },
  }));
  return images.pull(name, { platform, onProgress, signal });
}

/** The source as the repository that an image service pulls from; it stays the caller's. */
export function lend(source: PullPlace): OpenedImage {
  let root: Promise<FetchedManifest> | undefined;
  return {
    async fetchManifest(target, wait) {
      root ??= source.fetchRoot(wait);
      const top = await root;
      if (!target.includes(":") || top.descriptor.digest === target) return top;
      const digest = target as Digest;
      const entries = top.document.kind === "index" ? top.document.index.manifests : [];
      const entry = entries.find((one) => one.digest === digest);
      if (entry !== undefined) return source.fetchManifest(entry, wait);
      throw new ContentError("ERR_CONTENT_NOT_FOUND", `${digest}: not in ${source.name}`, {
        hint: "The name to store it under has another digest than the image.",
      });
    },
    openContent: (descriptor, wait) => source.openContent(descriptor, wait),
    async [Symbol.asyncDispose]() {},
  };
}
