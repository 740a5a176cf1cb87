import type { ParallelEvent, ResumeEvent } from "./blob-stream.ts";
import type { RestartEvent } from "./blobs.ts";
import type { ConfigEvent } from "./config/config-event.ts";
import type { MirrorFailedEvent } from "./mirror-failure.ts";
import type { UploadResumeEvent } from "./push-blob.ts";
import type { RepositoriesSkippedEvent } from "./repositories.ts";
import type { TagsSkippedEvent } from "./tags.ts";
import type { RateLimitSpentEvent, RetriesSpentEvent, RetryEvent } from "./transport-retry.ts";
import type { WarningEvent } from "./transport-warning.ts";

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
  | ParallelEvent
  | RateLimitSpentEvent
  | RepositoriesSkippedEvent
  | RestartEvent
  | ResumeEvent
  | RetriesSpentEvent
  | RetryEvent
  | SourceEvent
  | TagsSkippedEvent
  | WarningEvent
  | UploadResumeEvent;
