import {
  type ByteSource,
  isImageIndexMediaType,
  isImageManifestMediaType,
  type OpenContentOptions,
} from "@stowage/content";
import { formatRepository, parseReference, type Reference } from "@stowage/reference";
import type { CheckReport, Damage, ImageID, WantedBlob } from "@stowage/store";

import { ImageError } from "./image-error.ts";
import { readNames } from "./image-names.ts";
import type { StatusContext } from "./image-status.ts";
import type { ImageSource, OpenedImage, PolicyGate } from "./ports.ts";
import { storedSubject } from "./require-allowed.ts";

/** How the store is checked. */
export interface CheckImagesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Reads every byte, and compares each layer with its blob. @defaultValue false */
  readonly deep?: boolean | undefined;
  /**
   * Repairs what is damaged. Of blobs only those that are damaged are fetched again, from where they
   * came, and if the policy still allows the image.
   *
   * @defaultValue false
   */
  readonly repair?: boolean | undefined;
  /** As for a pull. */
  readonly source?: unknown;
  readonly onDamage?: ((damage: Damage) => void) | undefined;
}

/** What a repair may ask. */
export interface CheckContext extends StatusContext {
  readonly source: ImageSource;
  readonly policy: PolicyGate;
}

/** Checks the whole store, and repairs it if that is asked for. */
export async function checkImages(
  context: CheckContext,
  options: CheckImagesOptions = {},
): Promise<CheckReport> {
  const { signal, deep, repair = false, source, onDamage } = options;
  return await context.store.check({
    signal,
    deep,
    onDamage,
    repair: repair
      ? {
          openBlob: (blob, how) => openBlob(context, blob, source, how),
          repositoryOf: (name) => {
            const [reference] = readNames([name]).references;
            return reference && formatRepository(reference.repository);
          },
        }
      : undefined,
  });
}

/** Tries one repository after another, as long as none has given anything. */
async function* openBlob(
  context: CheckContext,
  blob: WantedBlob,
  source: unknown,
  how: OpenContentOptions,
): ByteSource {
  const failures: unknown[] = [];
  for (const repository of blob.repositories) {
    let isBegun = false;
    try {
      for await (const chunk of openFrom(context, blob, repository, source, how)) {
        isBegun = true;
        yield chunk;
      }
      return;
    } catch (error) {
      if (isBegun || how.signal?.aborted) throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  throw new ImageError("ERR_IMAGE_NOT_FOUND", `${blob.descriptor.digest}: no record says whence`, {
    hint: "Pull an image that has it.",
  });
}

async function* openFrom(
  context: CheckContext,
  { descriptor, images }: WantedBlob,
  repository: string,
  source: unknown,
  how: OpenContentOptions,
): ByteSource {
  const { signal } = how;
  const reference = await requireAllowed(context, images, repository, source, signal);
  const settings = { platform: context.platform, source, signal };
  const opened = await context.source.open(reference, settings);
  await using _owner = opened;
  signal?.throwIfAborted();
  const { mediaType } = descriptor;
  const isDocument = isImageManifestMediaType(mediaType) || isImageIndexMediaType(mediaType);
  if (isDocument) yield* openManifest(opened, descriptor, how);
  else yield* opened.openContent(descriptor, how);
}

async function* openManifest(
  opened: OpenedImage,
  { digest }: WantedBlob["descriptor"],
  { signal, offset = 0 }: OpenContentOptions,
): ByteSource {
  yield (await opened.fetchManifest(digest, { signal })).bytes.subarray(offset);
}

/**
 * The name to fetch by: of the first image that the policy allows. What it would not let in today is
 * not fetched to mend what was let in once.
 */
async function requireAllowed(
  { store, policy }: CheckContext,
  images: readonly ImageID[],
  repository: string,
  source: unknown,
  signal: AbortSignal | undefined,
): Promise<Reference> {
  let refusal: unknown;
  for (const id of images) {
    const { manifests } = await store.images.get(id);
    const way = manifests.find((known) => known.repository === repository);
    if (way === undefined) continue;
    const names = readNames(await store.images.namesOf(id)).references;
    const reference =
      names.find((name) => formatRepository(name.repository) === repository) ??
      parseReference(`${repository}@${way.manifest.digest}`);
    try {
      const subject = await storedSubject(store, reference, way, signal);
      await policy.requireAllowed(subject, { signal, source });
      return reference;
    } catch (error) {
      refusal ??= error;
    }
  }
  throw refusal ?? new ImageError("ERR_IMAGE_NOT_FOUND", `no image here is of ${repository}`);
}
