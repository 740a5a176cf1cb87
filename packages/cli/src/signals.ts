/** What the process was told to do, and what it ends with then. */
export interface Signals extends Disposable {
  readonly signal: AbortSignal;
  /** 128 and the number of the signal; `undefined` as long as none came. */
  readonly exitCode: number | undefined;
  abort(name: SignalName): void;
  /**
   * Leaves the next signal to somebody else, who passes it on. It aborts all the same if nothing has
   * ended {@link GRACE_MS} later, and at once if another comes.
   */
  leaveNext(): void;
}

/** The signals that end a process when it does nothing about them, and a person or a supervisor sends. */
export const ENDING_SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;

/** What others give a process to end in order. */
const GRACE_MS = 10_000;

type SignalName = "SIGHUP" | "SIGINT" | "SIGPIPE" | "SIGTERM";

const EXIT_CODES: Readonly<Record<SignalName, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGPIPE: 141,
  SIGTERM: 143,
};

/** Turns the signals that end a process into an abort, so that what is half done is undone first. */
export function onSignals(): Signals {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const abort = (name: SignalName): void => {
    exitCode ??= EXIT_CODES[name];
    controller.abort(new Error(`interrupted by ${name}`));
  };
  let isLeft = false;
  let grace: NodeJS.Timeout | undefined;
  const hear = (name: SignalName): void => {
    if (!isLeft) return abort(name);
    isLeft = false;
    grace = setTimeout(() => abort(name), GRACE_MS);
  };
  const listeners = ENDING_SIGNALS.map((name) => [name, () => hear(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    abort,
    leaveNext() {
      isLeft = true;
    },
    [Symbol.dispose]() {
      clearTimeout(grace);
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
