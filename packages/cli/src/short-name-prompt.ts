import { createInterface } from "node:readline/promises";

import type { ChooseShortName } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";
import { UsageError } from "./usage-error.ts";

/** Asks at the terminal which registry a short name means; `undefined` where there is none. */
export function chooserOf(context: CommandContext): ChooseShortName | undefined {
  const { stdin, stderr } = context;
  if (!stdin.isTTY || !stderr.isTTY || context.options.quiet) return undefined;
  return async (name, candidates, { signal }) => {
    const lines = candidates.map((candidate, at) => `  ${at + 1}) ${candidate}\n`);
    const terminal = createInterface({ input: stdin, output: stderr });
    terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    try {
      const question = `${name} may be\n${lines.join("")}Which one (1-${candidates.length})? `;
      const answer = await terminal.question(question, signal === undefined ? {} : { signal });
      const chosen = candidates[Number(answer.trim()) - 1];
      if (chosen !== undefined) return chosen;
    } finally {
      terminal.close();
    }
    throw new UsageError("none of them was chosen", {
      hint: "Write the full name, or the number of one of them.",
    });
  };
}
