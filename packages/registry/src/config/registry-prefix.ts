import type { RegistryTable } from "./registry-table.ts";

/** The table for a repository, and how much of the repository's name its prefix stands for. */
export interface MatchedTable {
  readonly table: RegistryTable;
  readonly length: number;
}

/**
 * The table whose prefix fits the full name of a repository best: the longest, and of two as long
 * the one without a wildcard.
 */
export function findRegistryTable(
  tables: readonly RegistryTable[],
  name: string,
): MatchedTable | undefined {
  let best: MatchedTable | undefined;
  for (const table of tables) {
    const length = matchedLength(table.prefix, name);
    if (length === undefined) continue;
    const ahead = best === undefined ? 1 : table.prefix.length - best.table.prefix.length;
    if (ahead > 0 || (ahead === 0 && !table.prefix.startsWith("*"))) best = { table, length };
  }
  return best;
}

/**
 * How many characters of `name` a prefix stands for. It ends where a component of the name, its
 * port or its host ends; a wildcard stands for hosts, whatever their port.
 */
function matchedLength(prefix: string, name: string): number | undefined {
  if (prefix.startsWith("*.")) {
    const host = name.split(/[/:]/u, 1)[0] ?? "";
    return host.endsWith(prefix.slice(1)) ? host.length : undefined;
  }
  if (!name.startsWith(prefix)) return undefined;
  const next = name.charAt(prefix.length);
  return next === "" || next === "/" || next === ":" || next === "@" ? prefix.length : undefined;
}
