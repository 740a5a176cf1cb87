/** Runs tasks of one key one after another, in the order of their coming. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key);
    const running = before === undefined ? task() : before.then(task, task);
    this.#last.set(key, running);
    const leave = (): void => {
      if (this.#last.get(key) === running) this.#last.delete(key);
    };
    running.then(leave, leave);
    return running;
  }
}
