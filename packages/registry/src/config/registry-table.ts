import { escapeText } from "@stowage/content";
import { parseRawReference } from "@stowage/reference";

import { invalidConfig, type TomlTable } from "./toml-document.ts";

/** For which references a mirror is asked. */
export type PullFromMirror = "all" | "digest-only" | "tag-only";

/** A `[[registry.mirror]]`. */
export interface MirrorTable {
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFromMirror: PullFromMirror;
}

/** A `[[registry]]`: how repositories whose names begin with `prefix` are reached. */
export interface RegistryTable {
  /** `host[:port][/path]`, or `*.domain`. */
  readonly prefix: string;
  /** Takes the place of what the prefix matched; `undefined`: the name stays as it is. */
  readonly location: string | undefined;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrorByDigestOnly: boolean;
  readonly mirrors: readonly MirrorTable[];
  /** The file that it stands in. */
  readonly file: string;
}

const WILDCARD = /^\*\.[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/u;
const MODES: readonly PullFromMirror[] = ["all", "digest-only", "tag-only"];

/** The `[[registry]]` tables of a file; of two with the same prefix, the first. */
export function readRegistryTables(file: string, root: TomlTable): readonly RegistryTable[] {
  const tables = root.tables("registry").map((table) => readTable(file, table));
  const locations = new Map<string, RegistryTable>();
  for (const table of tables) {
    const location = table.location ?? table.prefix;
    const other = locations.get(location) ?? table;
    locations.set(location, other);
    if (other.insecure !== table.insecure || other.blocked !== table.blocked) {
      const where = `${file}: two registry tables for ${location}`;
      throw invalidConfig(`${where} disagree about insecure or blocked`);
    }
  }
  const byPrefix = new Map<string, RegistryTable>();
  for (const table of tables) {
    if (!byPrefix.has(table.prefix)) byPrefix.set(table.prefix, table);
  }
  return [...byPrefix.values()];
}

function readTable(file: string, table: TomlTable): RegistryTable {
  const location = readLocation(table);
  const prefix = trimSlashes(table.string("prefix") ?? "") || location;
  if (prefix === undefined || prefix === "") {
    throw table.invalid(undefined, "has neither prefix nor location");
  }
  const isWildcard = prefix.includes("*");
  if (isWildcard && !WILDCARD.test(prefix)) {
    throw table.invalid("prefix", "is not of the form *.example.com");
  }
  if (!isWildcard && !isPrefix(prefix)) {
    throw table.invalid("prefix", "is not of the form host[:port][/path]");
  }
  if (!isWildcard && location === undefined) {
    throw table.invalid(undefined, "has no location, which only a prefix *.example.com may lack");
  }
  if (table.has("pull-from-mirror")) {
    throw table.invalid("pull-from-mirror", "belongs into a [[registry.mirror]]");
  }
  const mirrorByDigestOnly = table.boolean("mirror-by-digest-only");
  return {
    prefix,
    location,
    insecure: table.boolean("insecure"),
    blocked: table.boolean("blocked"),
    mirrorByDigestOnly,
    mirrors: table.tables("mirror").map((mirror) => readMirror(mirror, mirrorByDigestOnly)),
    file,
  };
}

function readMirror(mirror: TomlTable, mirrorByDigestOnly: boolean): MirrorTable {
  const location = readLocation(mirror);
  if (location === undefined) throw mirror.invalid(undefined, "has no location");
  const text = mirror.string("pull-from-mirror") || undefined;
  const mode = MODES.find((one) => one === (text ?? "all"));
  if (mode === undefined) {
    throw mirror.invalid("pull-from-mirror", `is none of ${MODES.join(", ")}`);
  }
  if (text !== undefined && mirrorByDigestOnly) {
    throw mirror.invalid("pull-from-mirror", "excludes mirror-by-digest-only of its registry");
  }
  return { location, insecure: mirror.boolean("insecure"), pullFromMirror: mode };
}

function readLocation(table: TomlTable): string | undefined {
  const text = table.string("location");
  if (text === undefined) return undefined;
  const location = trimSlashes(text);
  if (location === "") {
    if (table.has("prefix") && text === "") return undefined;
    throw table.invalid("location", "is empty");
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//iu.test(location)) {
    throw table.invalid("location", "has a scheme; write host[:port][/path]");
  }
  if (!isPrefix(location)) {
    // It may hold a password, so it is not quoted.
    throw table.invalid("location", "is not of the form host[:port][/path]");
  }
  return location;
}

/** Whether `text` is a name such as `host:port/path`; a tag is harmless, since none is compared. */
function isPrefix(text: string): boolean {
  const path = text.includes("/") ? text : `${text}/x`;
  try {
    return parseRawReference(path).domain !== "" && escapeText(text) === text;
  } catch {
    return false;
  }
}

function trimSlashes(text: string): string {
  return text.replace(/\/+$/u, "");
}
