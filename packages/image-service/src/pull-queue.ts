import type { PullProgress } from "./pull-progress.ts";
import { waitFor } from "./wait-for.ts";

/** What makes two pulls the same one. */
export interface PullIdentity {
  readonly text: string;
  /** Compared as a value: pulls with different settings are never shared. */
  readonly source: unknown;
}

/** One caller of a pull. */
export interface PullCaller {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: PullProgress) => void) | undefined;
}

/** What a pull is run with: neither belongs to any one caller. */
export interface PullRun {
  readonly signal: AbortSignal;
  readonly emit: (event: PullProgress) => void;
}

/** Lets callers who want the same thing at the same time share one pull. */
export interface PullQueue<T> {
  /**
   * Joins the pull of `identity` that is under way, or starts one. Events are told from then on.
   *
   * A caller whose signal fires leaves the others to their pull. The last to leave stops it, and
   * gets its rejection when everything that the pull held has been let go.
   */
  join(identity: PullIdentity, caller: PullCaller, start: (run: PullRun) => Promise<T>): Promise<T>;
}

interface SharedPull<T> {
  readonly callers: Set<PullCaller>;
  readonly stop: AbortController;
  readonly result: Promise<T>;
}

export function createPullQueue<T>(): PullQueue<T> {
  const bySource = new Map<unknown, Map<string, SharedPull<T>>>();

  function find({ text, source }: PullIdentity): SharedPull<T> | undefined {
    return bySource.get(source)?.get(text);
  }

  function forget({ text, source }: PullIdentity, shared: SharedPull<T>): void {
    const pulls = bySource.get(source);
    if (pulls?.get(text) !== shared) return;
    pulls.delete(text);
    if (pulls.size === 0) bySource.delete(source);
  }

  function begin(identity: PullIdentity, start: (run: PullRun) => Promise<T>): SharedPull<T> {
    const callers = new Set<PullCaller>();
    const stop = new AbortController();
    const emit = (event: PullProgress): void => {
      for (const caller of callers) tell(caller, event);
    };
    const result = Promise.resolve().then(() => start({ signal: stop.signal, emit }));
    const shared: SharedPull<T> = { callers, stop, result };
    const pulls = bySource.get(identity.source) ?? new Map<string, SharedPull<T>>();
    bySource.set(identity.source, pulls.set(identity.text, shared));
    const end = (): void => forget(identity, shared);
    result.then(end, end);
    return shared;
  }

  return {
    async join(identity, caller, start) {
      const { signal } = caller;
      signal?.throwIfAborted();
      const shared = find(identity) ?? begin(identity, start);
      const member = { ...caller };
      shared.callers.add(member);
      try {
        return await waitFor(shared.result, signal);
      } finally {
        shared.callers.delete(member);
        if (signal?.aborted && shared.callers.size === 0) {
          forget(identity, shared);
          shared.stop.abort(signal.reason);
          await shared.result.catch(() => undefined);
        }
      }
    },
  };
}

function tell(caller: PullCaller, event: PullProgress): void {
  try {
    caller.onProgress?.(event);
  } catch {
    // A listener that fails is its owner's business; the pull may be other people's too.
  }
}
