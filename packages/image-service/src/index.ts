/**
 * Pull, list, inspect, tag and remove images.
 *
 * @packageDocumentation
 */
export type { Transferred } from "./blob-transfer.ts";
export type { CheckImagesOptions } from "./check-images.ts";
export { ImageError, type ImageErrorCode } from "./image-error.ts";
export {
  createImageService,
  type ImageQueryOptions,
  type ImageService,
  type ImageServiceOptions,
} from "./image-service.ts";
export type { ImageStatus, ImageWarning } from "./image-status.ts";
export { type ImageUser, imageUser } from "./image-user.ts";
export type { InspectedImage, InspectedLayer } from "./inspect-image.ts";
export { createPinnedMatcher, type PinnedMatcher } from "./pinned-images.ts";
export type { AllowedImage, ImageSource, OpenedImage, PolicyGate, PolicySubject } from "./ports.ts";
export type { PullInFlight } from "./list-pulls.ts";
export type { PrunedItem, PruneOptions, PruneReport } from "./prune-images.ts";
export type { PulledImage } from "./pulled-image.ts";
export type { PullOptions } from "./pull-options.ts";
export type { PullProgress } from "./pull-progress.ts";
export type { RemovedImage } from "./remove-image.ts";
export type { SourceProgress } from "./source-progress.ts";
export type { RequireAllowedOptions } from "./require-allowed.ts";
export type { UntagOptions } from "./untag-image.ts";
