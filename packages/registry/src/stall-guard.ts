import type { ChunkQueue } from "./chunk-queue.ts";

/** When a body that is being read counts as stalled. The time that its reader takes does not. */
export interface StallLimits {
  /** Milliseconds without a byte. */
  readonly stallTimeout: number;
  /** Bytes a second that must come on average over `minRateWindow`. */
  readonly minRate: number;
  /** Milliseconds. */
  readonly minRateWindow: number;
}

/** As the limits of the best known clients have it, but that a trickle is not let live. */
export const DEFAULT_STALL_LIMITS: StallLimits = {
  stallTimeout: 60_000,
  minRate: 1024,
  minRateWindow: 300_000,
};

/**
 * Reads chunks, and calls `onStall` with what was too slow when too little comes. `onStall` has to
 * end the reading.
 */
export async function* guardStalls(
  chunks: ChunkQueue,
  limits: StallLimits,
  onStall: (what: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { stallTimeout, minRate, minRateWindow } = limits;
  const needed = (minRate * minRateWindow) / 1000;
  let waited = 0;
  let arrived = 0;
  for (;;) {
    const ready = chunks.take();
    if (ready !== undefined) {
      arrived += ready.byteLength;
      if (arrived >= needed) waited = arrived = 0;
      yield ready;
      continue;
    }
    const left = minRateWindow - waited;
    const isIdleFirst = stallTimeout <= left;
    const stall = (): void =>
      onStall(
        isIdleFirst
          ? `no byte in ${stallTimeout} ms`
          : `${arrived} bytes in ${minRateWindow} ms, less than ${minRate} a second`,
      );
    const started = performance.now();
    const timer = setTimeout(stall, Math.max(0, Math.min(stallTimeout, left)));
    try {
      if (await chunks.isOver()) return;
    } finally {
      clearTimeout(timer);
    }
    waited += performance.now() - started;
  }
}
