/** How {@link eachAtOnce} works. */
export interface EachAtOnceOptions {
  /** Tasks at once. */
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Does a task for each item, some at once, and yields what each resolves to as it comes. Whoever
 * leaves early stops those that are under way, and waits for their end.
 */
export async function* eachAtOnce<Item, Result>(
  items: ReadonlySet<Item>,
  { concurrency, signal }: EachAtOnceOptions,
  task: (item: Item, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const left = new AbortController();
  const stop = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  const running = new Map<Item, Promise<readonly [Item, Result]>>();
  const start = (item: Item): void => {
    const done = task(item, stop).then((result) => [item, result] as const);
    // Heard of when it is waited for, or not at all if another was the first to fail.
    done.catch(() => {});
    running.set(item, done);
  };
  const next = async (): Promise<Result> => {
    const [item, result] = await Promise.race(running.values());
    running.delete(item);
    return result;
  };
  try {
    for (const item of items) {
      if (running.size >= concurrency) yield await next();
      start(item);
    }
    while (running.size > 0) yield await next();
  } finally {
    left.abort(new Error("nobody waits for it any more"));
    await Promise.allSettled(running.values());
  }
}
