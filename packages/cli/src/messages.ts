import { escapeText } from "@stowage/content";

import type { GlobalOptions } from "./global-options.ts";
import type { Redact } from "./typed-secrets.ts";

const MAX_WARNING_LENGTH = 2000;

/** What is said on standard error beside results and failures. */
export interface Messages {
  /** For people: left out with `--quiet`, and with `--format json`. */
  tell(text: string): void;
  /** Left out with `--quiet` and below its log level; a line of JSON with `--format json`. */
  warn(text: string): void;
  /** As {@link warn}, of what is told only from its log level on. */
  log(level: "debug" | "info", text: string): void;
}

export function createMessages(
  options: GlobalOptions,
  stderr: NodeJS.WriteStream,
  redact: Redact,
): Messages {
  const { quiet, format, logLevel } = options;
  const say = (name: string, text: string): void => {
    const message = redact(escapeText(text, MAX_WARNING_LENGTH));
    const line =
      format === "json" ? JSON.stringify({ [name]: { message } }) : `stowage: ${name}: ${message}`;
    stderr.write(`${line}\n`);
  };
  return {
    tell(text) {
      if (!quiet && format === "text") stderr.write(`${redact(text)}\n`);
    },
    warn(text) {
      if (!quiet && logLevel !== "error") say("warning", text);
    },
    log(level, text) {
      const isWanted = logLevel === "debug" || logLevel === level;
      if (!quiet && isWanted) say(level, text);
    },
  };
}
