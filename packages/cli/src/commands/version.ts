import type { RunCommand } from "../command.ts";
import { ownVersion } from "../version.ts";

export const version: RunCommand = async (context) => {
  context.print({ version: ownVersion() }, ownVersion());
};
