/**
 * One `registries.conf` or drop-in, of version 2; version 1 is turned into it.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-registries.conf.5.md
 * @module
 */
import { escapeText } from "@stowage/content";
import {
  isShortName,
  parseRawReference,
  parseRegistryHost,
  redactCredentials,
} from "@stowage/reference";

import { isHelperName } from "../auth/helper-name.ts";
import { readRegistryTables, type RegistryTable } from "./registry-table.ts";
import { TomlDocument, type TomlTable } from "./toml-document.ts";

/** What a short name with several candidates does where nobody can be asked. */
export type ShortNameMode = "disabled" | "enforcing" | "permissive";

/** An alias, and the file that it stands in. */
export interface ShortNameAlias {
  /** `host/path`; empty where the alias was taken back. */
  readonly value: string;
  readonly file: string;
}

/** What one file says. */
export interface RegistriesFile {
  readonly file: string;
  readonly registries: readonly RegistryTable[];
  readonly searchRegistries: readonly string[] | undefined;
  readonly credentialHelpers: readonly string[] | undefined;
  readonly shortNameMode: ShortNameMode | undefined;
  readonly aliases: ReadonlyMap<string, ShortNameAlias>;
  readonly unknownKeys: readonly string[];
}

/** The name under which the list of helpers means the auth files. */
export const AUTH_FILES_HELPER = "containers-auth.json";

const MODES: readonly ShortNameMode[] = ["disabled", "enforcing", "permissive"];

/**
 * Reads a file. Keys that it does not know are told, not refused.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file, line and key.
 */
export function parseRegistriesFile(
  file: string,
  bytes: Uint8Array,
  options: { readonly isDropIn: boolean },
): RegistriesFile {
  const document = new TomlDocument(file, bytes);
  const { root } = document;
  const legacy = root.table("registries");
  if (legacy !== undefined && options.isDropIn) {
    throw root.invalid("registries", "is of version 1, which a drop-in may not be in");
  }
  if (legacy !== undefined && (root.has("registry") || root.has("unqualified-search-registries"))) {
    throw root.invalid("registries", "is of version 1, and other keys are of version 2");
  }
  const old = legacy === undefined ? undefined : readLegacy(file, legacy);
  const read = {
    file,
    registries: old?.registries ?? readRegistryTables(file, root),
    searchRegistries: old?.searchRegistries ?? readSearch(root),
    credentialHelpers: readHelpers(root),
    shortNameMode: readMode(root),
    aliases: readAliases(file, root.table("aliases")),
  };
  const unknownKeys = document.tables.flatMap((table) => table.unknownKeys());
  return { ...read, unknownKeys };
}

/** Reads the `[aliases]` of a file: short name → `host/path`. */
export function readAliases(
  file: string,
  table: TomlTable | undefined,
): ReadonlyMap<string, ShortNameAlias> {
  const aliases = new Map<string, ShortNameAlias>();
  for (const name of table?.keys() ?? []) {
    const value = table?.string(name) ?? "";
    if (!isAliasName(name)) {
      throw table?.invalid(name, "is no short name: it has a registry, a tag or a digest");
    }
    if (value !== "" && !isAliasValue(value)) {
      throw table?.invalid(name, `stands for ${quote(value)}, which is no registry/repository`);
    }
    aliases.set(name, { value, file });
  }
  return aliases;
}

function isAliasName(name: string): boolean {
  return isShortName(name) && isBare(name);
}

function isAliasValue(value: string): boolean {
  return !isShortName(value) && isBare(value);
}

function isBare(text: string): boolean {
  try {
    const { tag, digest } = parseRawReference(text);
    return tag === undefined && digest === undefined;
  } catch {
    return false;
  }
}

function readSearch(root: TomlTable): readonly string[] | undefined {
  const key = "unqualified-search-registries";
  return root.strings(key)?.map((entry) => readHost(root, key, entry));
}

function readHost(table: TomlTable, key: string, entry: string): string {
  const host = entry.replace(/\/+$/u, "");
  try {
    return parseRegistryHost(host);
  } catch (cause) {
    throw table.invalid(key, `names ${quote(entry)}, which is no host[:port]`, cause);
  }
}

function readHelpers(root: TomlTable): readonly string[] | undefined {
  const helpers = root.strings("credential-helpers");
  for (const helper of helpers ?? []) {
    if (helper !== AUTH_FILES_HELPER && !isHelperName(helper)) {
      throw root.invalid("credential-helpers", `names ${quote(helper)}, which is no helper's name`);
    }
  }
  return helpers;
}

function readMode(root: TomlTable): ShortNameMode | undefined {
  const mode = root.string("short-name-mode") || undefined;
  const known = MODES.find((one) => one === mode);
  if (mode === known) return known;
  throw root.invalid("short-name-mode", `is ${quote(mode ?? "")}, not ${MODES.join(", ")}`);
}

function readLegacy(
  file: string,
  legacy: TomlTable,
): Pick<RegistriesFile, "registries" | "searchRegistries"> {
  const read = (list: string): readonly string[] => {
    const table = legacy.table(list);
    return table?.strings("registries")?.map((host) => readHost(table, "registries", host)) ?? [];
  };
  const [search, insecure, blocked] = [read("search"), read("insecure"), read("block")];
  const registries = [...new Set([...insecure, ...blocked])].map((host) => ({
    prefix: host,
    location: host,
    insecure: insecure.includes(host),
    blocked: blocked.includes(host),
    mirrorByDigestOnly: false,
    mirrors: [],
    file,
  }));
  return { registries, searchRegistries: search.length === 0 ? undefined : search };
}

function quote(text: string): string {
  return JSON.stringify(escapeText(redactCredentials(text), 120));
}
