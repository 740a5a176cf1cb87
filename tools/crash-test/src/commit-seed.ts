import { execFileSync } from "node:child_process";

/** A number that changes with the commit, so that samples add up; `STOWAGE_SEED` where that is set. */
export function commitSeed(): number {
  const given = process.env["STOWAGE_SEED"];
  if (given !== undefined) return Number(given);
  try {
    const stdio = ["ignore", "pipe", "ignore"] as const;
    const options = { cwd: import.meta.dirname, encoding: "utf8", stdio: [...stdio] } as const;
    const commit = execFileSync("git", ["rev-parse", "HEAD"], options);
    return Number.parseInt(commit.slice(0, 7), 16);
  } catch {
    // There is no history here.
    return 1;
  }
}
