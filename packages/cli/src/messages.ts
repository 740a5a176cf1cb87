import { escapeText } from "@stowage/content";

import type { GlobalOptions } from "./global-options.ts";

const MAX_WARNING_LENGTH = 2000;

/** What is said on standard error beside results and failures. */
export interface Messages {
  /** For people: left out with `--quiet`, and with `--format json`. */
  tell(text: string): void;
  /** Left out with `--quiet` and below its log level; a line of JSON with `--format json`. */
  warn(text: string): void;
}

export function createMessages(options: GlobalOptions, stderr: NodeJS.WriteStream): Messages {
  const { quiet, format, logLevel } = options;
  return {
    tell(text) {
      if (!quiet && format === "text") stderr.write(`${text}\n`);
    },
    warn(text) {
      if (quiet || logLevel === "error") return;
      const message = escapeText(text, MAX_WARNING_LENGTH);
      const line =
        format === "json"
          ? JSON.stringify({ warning: { message } })
          : `stowage: warning: ${message}`;
      stderr.write(`${line}\n`);
    },
  };
}
