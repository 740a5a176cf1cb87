import { compare } from "./compare.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT } from "./stage.ts";
import { summarize } from "./summarize.ts";

const TARGET = 1.3;

/** `stowage version` against Node that does nothing. */
export async function benchVersion({ pairs, main = BUILT }: RowOptions): Promise<RowResult> {
  const program = process.execPath;
  const compared = await compare({
    pairs,
    ours: async () => ({ program, args: [...main, "version"] }),
    theirs: async () => ({ program, args: ["-e", "0"] }),
  });
  return summarize({ row: "version", peer: "node", target: TARGET }, compared);
}
