import type { Format } from "./global-options.ts";

/**
 * The form that a failure is asked for in. The options may be what could not be read, yet a failure
 * must still be in that.
 */
export function formatOf(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Format {
  const end = argv.indexOf("--");
  const own = end < 0 ? argv : argv.slice(0, end);
  const at = own.indexOf("--format");
  const text = at >= 0 ? own[at + 1] : own.find((word) => word.startsWith("--format="))?.slice(9);
  return (text ?? env["STOWAGE_FORMAT"]) === "json" ? "json" : "text";
}
