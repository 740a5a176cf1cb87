/**
 * Which Node the command line takes. An older one must be able to read this, and what it imports.
 *
 * @module
 */

/** As `engines` of the manifest has it. */
const SUPPORTED = "^22.22.2 || ^24.15.0 || >=26.0.0";

/** What to say, on a line of its own, to a Node that is not supported; `undefined` for one that is. */
export function refuseNode(version: string, format: "json" | "text"): string | undefined {
  if (SUPPORTED.split(" || ").some((range) => isIn(range, version))) return undefined;
  const message = `Node ${SUPPORTED} is needed, and this is Node ${version} (${process.execPath})`;
  const hint = "Install a newer Node, or put one first on the PATH.";
  if (format === "text") return `stowage: ${message}\n  ${hint}\n`;
  const code = "ERR_STOWAGE_UNSUPPORTED_NODE";
  return `${JSON.stringify({ error: { code, message, hint, causes: [] } })}\n`;
}

function isIn(range: string, version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = numbersOf(version);
  const [ownMajor = 0, ownMinor = 0, ownPatch = 0] = numbersOf(range.replace(/^\D+/, ""));
  if (major !== ownMajor) return range.startsWith(">=") && major > ownMajor;
  return minor === ownMinor ? patch >= ownPatch : minor > ownMinor;
}

function numbersOf(version: string): readonly number[] {
  return version.split(".").map((part) => Number.parseInt(part, 10));
}
