import { execFileSync } from "node:child_process";

/** A number that changes with the commit, so that samples add up; `STOWAGE_SEED` where that is set. */
export function commitSeed(): number {
  const given = process.env["STOWAGE_SEED"];
  if (given !== undefined) return Number(given);
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return Number.parseInt(commit.slice(0, 7), 16);
  } catch {
    // There is no history here.
    return 1;
  }
}
