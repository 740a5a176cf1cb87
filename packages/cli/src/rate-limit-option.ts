import type { RateLimitPolicy } from "@stowage/runtime-shim";

import { readDuration } from "./quantity.ts";
import { UsageError } from "./usage-error.ts";

const FLAG = "--on-rate-limit";

/** What is done about a rate limit: `fail`, a duration to wait, `next`, or `next,DURATION`. */
export function readRateLimits(text: string | undefined): RateLimitPolicy | undefined {
  if (text === undefined) return undefined;
  if (text === "fail") return { wait: 0 };
  const [first, ...others] = text.split(",");
  const nextPlace = first === "next";
  const [duration, ...more] = nextPlace ? others : [first, ...others];
  const usage = `${FLAG} takes fail, a duration as 90s or 15m, next, or next,15m`;
  if (more.length > 0) throw new UsageError(usage);
  return { nextPlace, wait: readDuration(duration, FLAG, usage) };
}
