import type { Digest } from "@stowage/content";
import type { Lease, Store } from "@stowage/store";

/** Keeps what is being pushed from being collected, and nothing else. */
export interface PushLease extends AsyncDisposable {
  /**
   * Resolves when these blobs are kept, for an hour from now.
   *
   * @param forGood - until the end, instead.
   */
  hold(digests: readonly Digest[], forGood?: boolean): Promise<void>;
}

/** As long as an upload may be left alone. */
const LIFETIME_MS = 3_600_000;

/** @param lifetime - milliseconds that a blob is kept after it was last told of. */
export function createPushLease(
  store: Pick<Store, "createLease">,
  lifetime: number = LIFETIME_MS,
): PushLease {
  const until = new Map<Digest, number>();
  let leased: ReadonlySet<Digest> = new Set();
  let lease: Lease | undefined;
  let last: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  async function renew(): Promise<void> {
    const now = performance.now();
    for (const [digest, end] of until) if (end <= now) until.delete(digest);
    const wanted = new Set(until.keys());
    if (wanted.size === leased.size && wanted.isSubsetOf(leased)) return;
    // The new one comes before the old one goes: what is in both is kept all the time.
    const next = wanted.size === 0 ? undefined : await store.createLease({ blobs: [...wanted] });
    const old = lease;
    [lease, leased] = [next, wanted];
    await old?.[Symbol.asyncDispose]();
  }

  /** One at a time; whatever was asked for by then is in the next one. */
  function settle(): Promise<void> {
    const renewed = last.then(renew);
    last = renewed.catch(() => {}).then(wakeInTime);
    return renewed;
  }

  function wakeInTime(): void {
    clearTimeout(timer);
    const soonest = Math.min(...until.values());
    if (isClosed || soonest === Infinity) return;
    // Should it fail, what is kept is kept for longer.
    const wake = (): void => void settle().catch(() => {});
    timer = setTimeout(wake, Math.max(soonest - performance.now(), 0) + 1).unref();
  }

  return {
    hold(digests, forGood = false) {
      const end = forGood ? Infinity : performance.now() + lifetime;
      for (const digest of digests) until.set(digest, Math.max(end, until.get(digest) ?? 0));
      return settle();
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      clearTimeout(timer);
      await last;
      await lease?.[Symbol.asyncDispose]();
    },
  };
}
