import { ownVersion } from "./version.ts";

const STDOUT = 1;

/**
 * Answers `version` by itself, without loading what the other commands need.
 *
 * @returns whether it did: not if an option or a variable says how, nor if the output can not be
 *   written to, about which the command itself has more to say.
 */
export function tellVersion(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (argv.length !== 1 || argv[0] !== "version") return false;
  if (Object.keys(env).some((name) => name.startsWith("STOWAGE_"))) return false;
  const line = Buffer.from(`${ownVersion()}\n`);
  try {
    return process.getBuiltinModule("node:fs").writeSync(STDOUT, line) === line.length;
  } catch {
    return false;
  }
}
