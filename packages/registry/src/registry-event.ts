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

/**
 * What happens to what is transferred: which place served or refused, what is asked again and what
 * goes on. It is progress; the rest of {@link RegistryEvent} is for logs.
 */
export type TransferEvent =
  | MirrorFailedEvent
  | ParallelEvent
  | RateLimitSpentEvent
  | RestartEvent
  | ResumeEvent
  | RetriesSpentEvent
  | RetryEvent
  | SourceEvent
  | UploadResumeEvent;

/** What happens on the way. */
export type RegistryEvent =
  | ConfigEvent
  | RepositoriesSkippedEvent
  | TagsSkippedEvent
  | TransferEvent
  | WarningEvent;

// Named one by one, so that a new one is put on a side.
const IS_TRANSFER: Readonly<Record<RegistryEvent["type"], boolean>> = {
  certificates: false,
  "config-file": false,
  credentials: false,
  "exposed-file": false,
  "hosts-file": false,
  "mirror-failed": true,
  parallel: true,
  proxy: false,
  "rate-limit-spent": true,
  "registry-table": false,
  "repositories-skipped": false,
  restart: true,
  resume: true,
  "retries-spent": true,
  retry: true,
  "short-name": false,
  source: true,
  "tags-skipped": false,
  "upload-resume": true,
  warning: false,
};

/** Whether an event is about what is transferred. */
export function isTransferEvent(event: RegistryEvent): event is TransferEvent {
  return IS_TRANSFER[event.type];
}
