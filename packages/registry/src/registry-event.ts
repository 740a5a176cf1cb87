import type { ResumeEvent } from "./blobs.ts";
import type { ConfigEvent } from "./config/config-event.ts";
import type { UploadResumeEvent } from "./push-blob.ts";
import type { TagsSkippedEvent } from "./tags.ts";
import type { RetryEvent } from "./transport-retry.ts";
import type { WarningEvent } from "./transport-warning.ts";

/** A mirror that did not deliver, so that the next place was asked. */
export interface MirrorFailedEvent {
  readonly type: "mirror-failed";
  /** `host/path` of the mirror. */
  readonly repository: string;
  readonly error: unknown;
  /** Whether it delivered other bytes than those asked for by digest. */
  readonly tampering: boolean;
}

/** A place that delivered a manifest, so that the blobs are asked for there first. */
export interface SourceEvent {
  readonly type: "source";
  /** By its logical name. */
  readonly repository: string;
  readonly target: string;
  /** `host/path` of the place. */
  readonly source: string;
  readonly mirror: boolean;
}

/** What happens on the way; for logs. */
export type RegistryEvent =
  | ConfigEvent
  | MirrorFailedEvent
  | ResumeEvent
  | RetryEvent
  | SourceEvent
  | TagsSkippedEvent
  | WarningEvent
  | UploadResumeEvent;
