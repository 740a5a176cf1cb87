import { escapeText } from "@stowage/content";
import type { CopyBetweenProgress, PullProgress } from "@stowage/runtime-shim";

import { countOf, formatSize, shortId } from "./table.ts";

/**
 * A line on which place served or refused and what is tried again, for people who watch; none for
 * what is told elsewhere.
 */
export function transferLine(event: CopyBetweenProgress | PullProgress): string | undefined {
  switch (event.type) {
    case "source":
      return event.mirror ? `mirror   ${event.source} has ${shortId(event.target)}` : undefined;
    case "mirror-failed": {
      const { repository, error, tampering } = event;
      // That is a warning already, which nobody is spared.
      if (tampering) return undefined;
      const why = error instanceof Error ? error.message : String(error);
      return `passed   ${repository}: ${escapeText(why, 500)}`;
    }
    case "retry": {
      const { url, attempt, delay, reason } = event;
      const why = typeof reason === "number" ? `HTTP ${reason}` : reason;
      return `waiting  ${(delay / 1000).toFixed(1)} s: ${url}: ${why} at attempt ${attempt}`;
    }
    case "blob-reuse": {
      const { digest, reused, size, ranges } = event;
      const most = `${formatSize(reused)} of ${formatSize(size)} are here`;
      return `reusing  ${shortId(digest)}  ${most}, ${countOf(ranges, "range")} to fetch`;
    }
    case "blob-reuse-failed": {
      const { digest, error } = event;
      const why = error instanceof Error ? error.message : String(error);
      return `passed   ${shortId(digest)}  not to be put together so: ${escapeText(why, 500)}`;
    }
    case "resume":
      return `resuming ${shortId(event.digest)}  at ${formatSize(event.received)}`;
    case "upload-resume":
      return `resuming ${shortId(event.digest)}  at ${formatSize(event.offset)} there`;
    default:
      return undefined;
  }
}
