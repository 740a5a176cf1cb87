import { compare } from "./compare.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { commandOf } from "./measure-process.ts";
import { BUILT } from "./stage.ts";
import { summarize } from "./summarize.ts";

const TARGET = 1.3;

/** `stowage version` against Node that does nothing. */
export async function benchVersion({ pairs, main = BUILT }: RowOptions): Promise<RowResult> {
  const compared = await compare({
    pairs,
    ours: async () => commandOf(main, "version"),
    theirs: async () => ({ program: process.execPath, args: ["-e", "0"] }),
  });
  return summarize({ row: "version", peer: "node", target: TARGET }, compared);
}
