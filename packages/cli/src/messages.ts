import { escapeText } from "@stowage/content";

import type { GlobalOptions } from "./global-options.ts";
import type { Redact } from "./typed-secrets.ts";

const MAX_WARNING_LENGTH = 2000;

/** What a warning has beside its message, as JSON. */
export interface WarningFields {
  /** What a policy would refuse if it did not only report. */
  readonly audit?: string;
}

/** What is said on standard error beside results and failures. */
export interface Messages {
  /** For people: left out with `--quiet`, and with `--format json`. */
  tell(text: string): void;
  /** Left out with `--quiet` and below its log level; a line of JSON with `--format json`. */
  warn(text: string, fields?: WarningFields): void;
  /** As {@link warn}, of what is told only from its log level on. */
  log(level: "debug" | "info", text: string): void;
}

export function createMessages(
  options: GlobalOptions,
  stderr: NodeJS.WriteStream,
  redact: Redact,
): Messages {
  const { quiet, format, logLevel } = options;
  const shown = (text: string): string => redact(escapeText(text, MAX_WARNING_LENGTH));
  const say = (name: string, text: string, { audit }: WarningFields = {}): void => {
    const message = shown(text);
    const fields = audit === undefined ? {} : { audit: shown(audit) };
    const line =
      format === "json"
        ? JSON.stringify({ [name]: { message, ...fields } })
        : `stowage: ${name}: ${message}`;
    stderr.write(`${line}\n`);
  };
  return {
    tell(text) {
      if (!quiet && format === "text") stderr.write(`${redact(text)}\n`);
    },
    warn(text, fields) {
      if (!quiet && logLevel !== "error") say("warning", text, fields);
    },
    log(level, text) {
      const isWanted = logLevel === "debug" || logLevel === level;
      if (!quiet && isWanted) say(level, text);
    },
  };
}
