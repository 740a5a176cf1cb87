/** What the process was told to do, and what it ends with then. */
export interface Signals extends Disposable {
  readonly signal: AbortSignal;
  /** 128 and the number of the signal; `undefined` as long as none came. */
  readonly exitCode: number | undefined;
  abort(name: SignalName): void;
}

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
  const heard = ["SIGHUP", "SIGINT", "SIGTERM"] as const;
  const listeners = heard.map((name) => [name, () => abort(name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    abort,
    [Symbol.dispose]() {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
