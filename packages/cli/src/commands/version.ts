import type { RunCommand } from "../command.ts";
import { VERSION } from "../version.ts";

export const version: RunCommand = async (context) => {
  context.print({ version: VERSION }, VERSION);
};
