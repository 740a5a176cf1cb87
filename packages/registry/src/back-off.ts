import { setTimeout as sleep } from "node:timers/promises";

/** Half to all of `milliseconds`, so that many who failed at once do not come back at once. */
export function jitter(milliseconds: number): number {
  return Math.round(milliseconds * (0.5 + Math.random() / 2));
}

/** Waits; rejects with the signal's own reason. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
