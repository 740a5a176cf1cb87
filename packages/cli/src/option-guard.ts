import type { Command, Option } from "commander";

import { UsageError } from "./usage-error.ts";

/**
 * Refuses what the parser would let pass: an option that is given twice, of which the last would
 * silently win, one whose value is empty, and one that takes the next option for its value.
 */
export function guardOption(command: Command, option: Option): void {
  const isRepeatable = option.variadic || option.parseArg !== undefined;
  let isGiven = false;
  command.on(`option:${option.name()}`, (value?: string) => {
    if (isGiven && !isRepeatable) throw new UsageError(`${option.long} is given twice`);
    isGiven = true;
    if (value === "") throw new UsageError(`${option.long} is empty`);
    if (value?.startsWith("-")) {
      throw new UsageError(`${option.long} needs a value, but an option follows`, {
        hint: "Write a path that begins with a dash as ./-name.",
      });
    }
  });
}

/** For an option that may be given several times: its values, in order. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}
