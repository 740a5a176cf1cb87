/** Runs tasks of the same tag one after another, in the order in which they came. */
export type TagTurns = <Result>(tag: string, task: () => Promise<Result>) => Promise<Result>;

export function createTagTurns(): TagTurns {
  const last = new Map<string, Promise<unknown>>();
  return async (tag, task) => {
    const result = (last.get(tag) ?? Promise.resolve()).then(task);
    // The next in turn does not fail for this one's sake.
    const ended = Promise.allSettled([result]);
    last.set(tag, ended);
    try {
      return await result;
    } finally {
      if (last.get(tag) === ended) last.delete(tag);
    }
  };
}
