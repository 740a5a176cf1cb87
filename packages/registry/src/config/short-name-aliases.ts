/**
 * The aliases that programs have written, after a user chose once.
 *
 * @module
 */
import { homedir } from "node:os";
import { join } from "node:path";

import { parseRawReference, parseReference } from "@stowage/reference";
import { stringify } from "smol-toml";

import { editFile } from "./edit-file.ts";
import { readAliases, type ShortNameAlias } from "./registries-file.ts";
import { TomlDocument } from "./toml-document.ts";

/** Where aliases that programs write are kept. */
export interface ShortNameAliasOptions {
  /** @defaultValue `/var/cache/containers/short-name-aliases.conf`, for users in their cache */
  readonly aliasFile?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The file of the aliases that programs write. */
export function shortNameAliasFile(options: ShortNameAliasOptions = {}): string {
  const { aliasFile, env = process.env } = options;
  if (aliasFile !== undefined) return aliasFile;
  const cache =
    process.getuid?.() === 0
      ? "/var/cache"
      : env["XDG_CACHE_HOME"] || join(env["HOME"] || homedir(), ".cache");
  return join(cache, "containers/short-name-aliases.conf");
}

/** @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file, line and key. */
export function parseAliasFile(
  file: string,
  bytes: Uint8Array,
): ReadonlyMap<string, ShortNameAlias> {
  return readAliases(file, new TomlDocument(file, bytes).root.table("aliases"));
}

/**
 * Remembers which of its candidates a short name stands for, without tag and digest, for all tools
 * that read the file.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` if the file is malformed, or as the
 *   README says of files that cannot be written.
 */
export async function recordShortName(
  name: string,
  chosen: string,
  options: ShortNameAliasOptions = {},
): Promise<void> {
  const file = shortNameAliasFile(options);
  const { domain, path } = parseRawReference(name);
  const { repository } = parseReference(chosen);
  const alias = domain === "" ? path : `${domain}/${path}`;
  const value = `${repository.host}/${repository.path}`;
  const edit = (bytes: Uint8Array | undefined): Uint8Array => {
    const known = bytes === undefined ? new Map() : parseAliasFile(file, bytes);
    const aliases = Object.fromEntries([...known].map(([key, entry]) => [key, entry.value]));
    return Buffer.from(stringify({ aliases: { ...aliases, [alias]: value } }));
  };
  await editFile(file, edit, { mode: 0o644, signal: options.signal });
}
