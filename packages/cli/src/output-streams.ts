import { setImmediate } from "node:timers/promises";

import type { Signals } from "./signals.ts";

/** What became of the output. */
export interface GuardedOutput {
  /**
   * Waits until standard output has taken everything.
   *
   * @throws the stream's error, unless the reader has merely left.
   */
  finish(): Promise<void>;
}

/**
 * Takes note of what goes wrong with the output, which else would end the process where it stands.
 * A reader of standard output that has seen enough aborts like a signal; that nobody reads standard
 * error changes nothing.
 */
export function guardOutput(
  stdout: NodeJS.WriteStream,
  stderr: NodeJS.WriteStream,
  signals: Signals,
): GuardedOutput {
  let failure: NodeJS.ErrnoException | undefined;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") signals.abort("SIGPIPE");
    else failure ??= error;
  });
  stderr.on("error", () => {});
  return {
    async finish() {
      await new Promise<void>((resolve) => {
        stdout.write("", () => resolve());
      });
      // The stream tells of its failure after it has called back.
      await setImmediate();
      if (failure) throw failure;
    },
  };
}
