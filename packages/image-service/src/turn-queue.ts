import { waitFor } from "./wait-for.ts";

/** Lets tasks of the same key run one after another, in the order in which they came. */
export interface TurnQueue {
  /** Rejects with the signal's reason if that fires first; the task is not begun then. */
  run<T>(key: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** Lets a limited number of tasks run at once. */
export interface Slots {
  /** Rejects with the signal's reason if that fires first; the task is not begun then. */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function createTurnQueue(): TurnQueue {
  const tails = new Map<string, Promise<void>>();
  return {
    async run(key, task, signal) {
      const previous = tails.get(key) ?? Promise.resolve();
      const { promise: done, resolve: finish } = Promise.withResolvers<void>();
      // Whoever gives up waiting must not let those behind overtake those in front.
      const tail = previous.then(() => done);
      tails.set(key, tail);
      try {
        await waitFor(previous, signal);
        return await task();
      } finally {
        finish();
        if (tails.get(key) === tail) tails.delete(key);
      }
    },
  };
}

export function createSlots(count: number): Slots {
  let free = count;
  const waiting = new Set<() => void>();
  const release = (): void => {
    const [next] = waiting;
    if (next === undefined) {
      free += 1;
    } else {
      waiting.delete(next);
      next();
    }
  };
  return {
    async run(task, signal) {
      signal?.throwIfAborted();
      if (free > 0) {
        free -= 1;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting.add(resolve);
        try {
          await waitFor(promise, signal);
        } catch (error) {
          // A slot handed over in the moment of the abort is passed on.
          if (!waiting.delete(resolve)) release();
          throw error;
        }
      }
      try {
        return await task();
      } finally {
        release();
      }
    },
  };
}
