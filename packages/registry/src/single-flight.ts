interface Flight<Result> {
  readonly result: Promise<Result>;
  readonly controller: AbortController;
  waiters: number;
}

/**
 * Runs one task for all who ask while it runs. Who stops waiting does not disturb the others; when
 * all have, the task's own signal fires.
 */
export class SingleFlight<Result> {
  #flight: Flight<Result> | undefined;

  async run(
    task: (signal: AbortSignal) => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    signal?.throwIfAborted();
    const flight = (this.#flight ??= this.#start(task));
    flight.waiters += 1;
    const { promise, reject } = Promise.withResolvers<never>();
    const leave = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([flight.result, promise]);
    } finally {
      signal?.removeEventListener("abort", leave);
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        if (this.#flight === flight) this.#flight = undefined;
        flight.controller.abort();
      }
    }
  }

  #start(task: (signal: AbortSignal) => Promise<Result>): Flight<Result> {
    const controller = new AbortController();
    const result = task(controller.signal);
    const flight = { result, controller, waiters: 0 };
    const land = (): void => {
      if (this.#flight === flight) this.#flight = undefined;
    };
    result.then(land, land);
    return flight;
  }
}
