import { hostPlatform, type Platform } from "@stowage/content";
import type { CheckReport, Store } from "@stowage/store";

import { checkImages, type CheckImagesOptions } from "./check-images.ts";
import {
  type ImageStatus,
  type ImageWarning,
  imageStatus,
  requireFound,
  statusOf,
} from "./image-status.ts";
import { type InspectedImage, inspectImage } from "./inspect-image.ts";
import { listImages } from "./list-images.ts";
import { listPulls, type PullInFlight } from "./list-pulls.ts";
import { createPinnedMatcher } from "./pinned-images.ts";
import type { ImageSource, PolicyGate } from "./ports.ts";
import { pruneImages, type PruneOptions, type PruneReport } from "./prune-images.ts";
import { canPullImage, pullImage } from "./pull-image.ts";
import type { PulledImage } from "./pulled-image.ts";
import type { PullOptions } from "./pull-options.ts";
import { createPullQueue } from "./pull-queue.ts";
import { type RemovedImage, removeImage } from "./remove-image.ts";
import { type RequireAllowedOptions, requireImageAllowed } from "./require-allowed.ts";
import { tagImage } from "./tag-image.ts";
import { createTurnQueue } from "./turn-queue.ts";
import { untagImage, type UntagOptions } from "./untag-image.ts";

/** What an image service is made of. */
export interface ImageServiceOptions {
  /** Where images are kept; it stays the caller's, who disposes of it after the service. */
  readonly store: Store;
  readonly source: ImageSource;
  readonly policy: PolicyGate;
  /**
   * Patterns of full names to keep from garbage collectors: `text`, `text*` or `*text*`, without
   * regard to case.
   */
  readonly pinned?: readonly string[] | undefined;
  /** @defaultValue that of the host */
  readonly defaultPlatform?: Platform | undefined;
  /** Told what is damaged in the store and was left out of an answer. */
  readonly onWarning?: ((warning: ImageWarning) => void) | undefined;
}

/** How a question that reads only the store is asked. */
export interface ImageQueryOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Pulls images and tells about them.
 *
 * Where an image is asked for, it may be by name, by `name@digest`, by ID or by an unambiguous
 * beginning of the ID of at least three digits; text that is nothing of these rejects with an
 * `InvalidReferenceError`.
 */
export interface ImageService {
  /**
   * Asks the registry, with the caller's own settings, whether this caller may pull. Writes nothing,
   * and asks no policy.
   */
  canPull(reference: string, options?: PullOptions): Promise<true>;
  /**
   * Pulls an image: permission and manifest from the registry first, then policy, then what the
   * store does not have yet. Identical pulls at the same time are one.
   *
   * @throws {@link ImageError} for what is wrong with the image; what registry, policy and store
   *   throw comes through as it is.
   */
  pull(reference: string, options?: PullOptions): Promise<PulledImage>;
  /** All images, or those that `filter` means. Damaged ones are told to `onWarning`. */
  listImages(filter?: string, options?: ImageQueryOptions): Promise<readonly ImageStatus[]>;
  /**
   * The pulls into this store that are under way, of all processes; none of one that has died. A pull
   * is there once it has its manifest and the policy's word. A further pull of the same image joins:
   * it is listed for itself, and nothing is transferred twice.
   */
  listPullsInFlight(options?: ImageQueryOptions): Promise<readonly PullInFlight[]>;
  /** `undefined` if there is no such image. */
  imageStatus(nameOrId: string, options?: ImageQueryOptions): Promise<ImageStatus | undefined>;
  /** @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND` */
  requireImage(nameOrId: string, options?: ImageQueryOptions): Promise<ImageStatus>;
  /** @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND` */
  inspect(nameOrId: string, options?: ImageQueryOptions): Promise<InspectedImage>;
  /**
   * Gives an image one more name, and resolves to it in full.
   *
   * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`, `ERR_IMAGE_INVALID_ARGUMENT`
   */
  tag(nameOrId: string, name: string, options?: ImageQueryOptions): Promise<string>;
  /**
   * Removes only the name, and the image when it was the last; given an ID, removes the image.
   *
   * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`, `ERR_IMAGE_IN_USE`, `ERR_IMAGE_PINNED`
   */
  untagImage(nameOrId: string, options?: UntagOptions): Promise<RemovedImage>;
  /**
   * Removes the image with all its names.
   *
   * @throws {@link ImageError} `ERR_IMAGE_NOT_FOUND`, `ERR_IMAGE_IN_USE`, `ERR_IMAGE_PINNED`
   */
  removeImage(nameOrId: string, options?: ImageQueryOptions): Promise<RemovedImage>;
  /** Removes images by rule, and then all content that nothing needs. */
  prune(options?: PruneOptions): Promise<PruneReport>;
  /** Looks for damage in the whole store, and repairs it if asked to. */
  check(options?: CheckImagesOptions): Promise<CheckReport>;
  /** Asks the policy again, about an image in the store. */
  requireAllowed(nameOrId: string, options?: RequireAllowedOptions): Promise<void>;
}

/** Puts an image service together. */
export function createImageService(options: ImageServiceOptions): ImageService {
  const { store, source, policy, pinned = [], onWarning = () => undefined } = options;
  const platform = options.defaultPlatform ?? hostPlatform();
  const pulls = createPullQueue<PulledImage>();
  const turns = createTurnQueue();
  const pulling = { store, source, policy, platform, pulls, turns };
  const asking = {
    store,
    source,
    policy,
    platform,
    isPinned: createPinnedMatcher(pinned),
    onWarning,
  };
  return {
    canPull: (reference, how = {}) => canPullImage(pulling, reference, how),
    pull: (reference, how = {}) => pullImage(pulling, reference, how),
    listImages: (filter, how) => unlessAborted(how, () => listImages(asking, filter)),
    listPullsInFlight: (how) => unlessAborted(how, () => listPulls(store)),
    imageStatus: (image, how) => unlessAborted(how, () => imageStatus(asking, image)),
    requireImage: (image, how) =>
      unlessAborted(how, async () => {
        const { record, asked } = await requireFound(asking, image);
        return await statusOf(asking, record, asked);
      }),
    inspect: (image, how) => unlessAborted(how, () => inspectImage(asking, image)),
    tag: (image, name, how) => unlessAborted(how, () => tagImage(asking, image, name)),
    untagImage: (image, how) => unlessAborted(how, () => untagImage(asking, image, how)),
    removeImage: (image, how) => unlessAborted(how, () => removeImage(asking, image)),
    prune: (how) => unlessAborted(how, () => pruneImages(asking, how)),
    check: (how) => unlessAborted(how, () => checkImages(asking, how)),
    requireAllowed: (image, how) => requireImageAllowed(asking, image, how),
  };
}

async function unlessAborted<T>(
  options: ImageQueryOptions | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  options?.signal?.throwIfAborted();
  return await ask();
}
