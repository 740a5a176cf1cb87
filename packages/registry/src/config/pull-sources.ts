import { type Digest, hasErrorCode, isDigest } from "@stowage/content";
import {
  formatRepository,
  parseCanonicalReference,
  type Repository,
  type Tag,
} from "@stowage/reference";

import type { Endpoint } from "../endpoint.ts";
import type { RegistriesConf } from "./registries-conf.ts";
import { findRegistryTable, type MatchedTable } from "./registry-prefix.ts";
import type { MirrorTable, RegistryTable } from "./registry-table.ts";
import { invalidConfig } from "./toml-document.ts";

/** Where a repository is read. */
export interface PullSources {
  /** The table that says so, if there is one. */
  readonly table: RegistryTable | undefined;
  /** To be asked first, in this order; none twice, and not the primary. */
  readonly mirrors: readonly Endpoint[];
  /** The repository itself, by its physical name. */
  readonly primary: Endpoint;
}

/**
 * Where `repository` is read for a tag or for content by its digest; without either as for a tag.
 *
 * A place is blocked if the table of its physical name blocks it, and the primary also if the table
 * that led there does. A blocked registry with mirrors is thus read from its mirrors alone.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` if a `location` makes no full name.
 */
export function findPullSources(
  conf: RegistriesConf,
  repository: Repository,
  target?: Tag | Digest,
): PullSources {
  const name = formatRepository(repository);
  const matched = findRegistryTable(conf.registries, name);
  if (matched === undefined) {
    return { table: undefined, mirrors: [], primary: { repository } };
  }
  const { table } = matched;
  const place = (location: string | undefined, insecure: boolean): Endpoint => {
    const physical = rewrite(matched, name, location) ?? repository;
    const blockedBy = blockerOf(conf, physical);
    return { repository: physical, insecure, ...(blockedBy !== undefined && { blockedBy }) };
  };
  const primary = place(table.location, table.insecure);
  const seen = new Set([describe(primary)]);
  const mirrors = table.mirrors
    .filter((mirror) => isAdmitted(table, mirror, target !== undefined && isDigest(target)))
    .map((mirror) => place(mirror.location, mirror.insecure))
    .filter((mirror) => !seen.has(describe(mirror)) && seen.add(describe(mirror)));
  return {
    table,
    mirrors,
    primary: table.blocked ? { ...primary, blockedBy: table.file } : primary,
  };
}

/** Where `repository` is written: under its own name, as its table says that it is reached. */
export function findPushTarget(conf: RegistriesConf, repository: Repository): Endpoint {
  const name = repository.path === "" ? repository.host : formatRepository(repository);
  const table = findRegistryTable(conf.registries, name)?.table;
  if (table === undefined) return { repository };
  const { insecure, blocked, file } = table;
  return { repository, insecure, ...(blocked && { blockedBy: file }) };
}

function isAdmitted(table: RegistryTable, mirror: MirrorTable, byDigest: boolean): boolean {
  if (table.mirrorByDigestOnly) return byDigest;
  if (mirror.pullFromMirror === "all") return true;
  return (mirror.pullFromMirror === "digest-only") === byDigest;
}

/** The file that forbids to ask for a repository by its physical name. */
export function blockerOf(conf: RegistriesConf, repository: Repository): string | undefined {
  const table = findRegistryTable(conf.registries, formatRepository(repository))?.table;
  return table?.blocked === true ? table.file : undefined;
}

function rewrite(
  { table, length }: MatchedTable,
  name: string,
  location: string | undefined,
): Repository | undefined {
  if (location === undefined) return undefined;
  const physical = location + name.slice(length);
  try {
    return parseCanonicalReference(physical).repository;
  } catch (cause) {
    const what = `prefix ${table.prefix} makes ${physical} of ${name}, which is not a full name`;
    const hub = hasErrorCode(cause, "ERR_REFERENCE_NOT_CANONICAL")
      ? "; write docker.io/library for Docker's own images"
      : "";
    throw invalidConfig(`${table.file}: ${what}${hub}`, cause);
  }
}

function describe({ repository, insecure = false }: Endpoint): string {
  return `${formatRepository(repository)} ${insecure}`;
}
