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
  if (more.length > 0) {
    throw new UsageError(`${FLAG} takes a duration as 15m, next, next,15m, or fail`);
  }
  return { nextPlace, wait: readDuration(duration, FLAG) };
}
