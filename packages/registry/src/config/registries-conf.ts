import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import type { ConfigEventOptions } from "./config-event.ts";
import {
  AUTH_FILES_HELPER,
  parseRegistriesFile,
  type RegistriesFile,
  type ShortNameAlias,
  type ShortNameMode,
} from "./registries-file.ts";
import type { RegistryTable } from "./registry-table.ts";
import { parseAliasFile, shortNameAliasFile } from "./short-name-aliases.ts";
import { invalidConfig } from "./toml-document.ts";

/** Where {@link loadRegistriesConf} looks. */
export interface LoadRegistriesConfOptions extends ConfigEventOptions {
  /** The main file. It must exist. */
  readonly path?: string | undefined;
  /** The only directory of drop-ins. It must exist. */
  readonly dropInDir?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where the system's own configuration is. @defaultValue `/etc` */
  readonly etc?: string | undefined;
  /** @defaultValue `/var/cache/containers/short-name-aliases.conf`, for users in their cache */
  readonly aliasFile?: string | undefined;
}

/** What all files together say. */
export interface RegistriesConf {
  /** The files that were read, in the order in which a later one overrides. */
  readonly files: readonly string[];
  readonly registries: readonly RegistryTable[];
  /** Where short names are looked for; `undefined` if no file says. */
  readonly searchRegistries: readonly string[] | undefined;
  /** @defaultValue `permissive` */
  readonly shortNameMode: ShortNameMode;
  /** Who is asked for credentials, in order; `containers-auth.json` means the auth files. */
  readonly credentialHelpers: readonly string[];
  readonly aliases: ReadonlyMap<string, ShortNameAlias>;
}

type Environment = Readonly<Record<string, string | undefined>>;

// More is no configuration, but a directory gone astray.
const MAX_DROP_INS = 1000;

/**
 * The registries that the user has configured for other tools of the ecosystem: `path`,
 * `$CONTAINERS_REGISTRIES_CONF`, `$REGISTRIES_CONFIG_PATH`,
 * `~/.config/containers/registries.conf` or `/etc/containers/registries.conf`, and the `*.conf` of
 * `registries.conf.d` beside the last two. The user's own main file switches the system's drop-ins
 * off; a named main file switches none off. Aliases that programs have recorded override all.
 *
 * Reads the files anew each time: load again to see a change.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file, line and key.
 */
export async function loadRegistriesConf(
  options: LoadRegistriesConfOptions = {},
): Promise<RegistriesConf> {
  const { env = process.env, etc = "/etc", dropInDir, onEvent } = options;
  const system = join(etc, "containers/registries.conf");
  const user = join(env["HOME"] || homedir(), ".config/containers/registries.conf");
  const named = namedFile(options, env);
  const read: RegistriesFile[] = [];
  const add = async (file: string, isDropIn: boolean, required: boolean): Promise<boolean> => {
    const bytes = await readConfig(file, required);
    if (bytes === undefined) return false;
    const parsed = parseRegistriesFile(file, bytes, { isDropIn });
    onEvent?.({ type: "config-file", file, unknownKeys: parsed.unknownKeys });
    read.push(parsed);
    return true;
  };
  let isUsers = false;
  if (named !== undefined) await add(named, false, true);
  else {
    isUsers = await add(user, false, false);
    if (!isUsers) await add(system, false, false);
  }
  const usual = isUsers ? [`${user}.d`] : [`${system}.d`, `${user}.d`];
  for (const directory of dropInDir === undefined ? usual : [dropInDir]) {
    for (const file of await dropIns(directory, dropInDir !== undefined)) {
      await add(file, true, true);
    }
  }
  const conf = merge(read);
  const aliasFile = shortNameAliasFile(options);
  const recorded = await readConfig(aliasFile, false);
  if (recorded === undefined) return conf;
  onEvent?.({ type: "config-file", file: aliasFile, unknownKeys: [] });
  const aliases = new Map([...conf.aliases, ...parseAliasFile(aliasFile, recorded)]);
  return { ...conf, files: [...conf.files, aliasFile], aliases };
}

function namedFile({ path }: LoadRegistriesConfOptions, env: Environment): string | undefined {
  return path ?? (env["CONTAINERS_REGISTRIES_CONF"] || env["REGISTRIES_CONFIG_PATH"] || undefined);
}

async function readConfig(file: string, required: boolean): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw invalidConfig(`${file}: it cannot be read`, cause);
  }
}

async function dropIns(directory: string, required: boolean): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = await readdir(directory);
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return [];
    throw invalidConfig(`${directory}: it cannot be listed`, cause);
  }
  const files = names.filter((name) => name.endsWith(".conf"));
  if (files.length > MAX_DROP_INS) {
    throw invalidConfig(`${directory}: over ${MAX_DROP_INS} drop-ins`);
  }
  return files.sort(byBytes).map((name) => join(directory, name));
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A later table takes the place of an earlier one of its prefix, whole; lists are replaced. */
function merge(files: readonly RegistriesFile[]): RegistriesConf {
  const registries = new Map<string, RegistryTable>();
  const aliases = new Map<string, ShortNameAlias>();
  let searchRegistries: readonly string[] | undefined;
  let shortNameMode: ShortNameMode = "permissive";
  let credentialHelpers: readonly string[] = [AUTH_FILES_HELPER];
  for (const file of files) {
    for (const table of file.registries) registries.set(table.prefix, table);
    for (const [name, alias] of file.aliases) aliases.set(name, alias);
    searchRegistries = file.searchRegistries ?? searchRegistries;
    shortNameMode = file.shortNameMode ?? shortNameMode;
    credentialHelpers = file.credentialHelpers ?? credentialHelpers;
  }
  return {
    files: files.map(({ file }) => file),
    registries: [...registries.values()],
    searchRegistries,
    shortNameMode,
    // Cleared means the default: an empty list would make everybody anonymous.
    credentialHelpers: credentialHelpers.length === 0 ? [AUTH_FILES_HELPER] : credentialHelpers,
    aliases,
  };
}
