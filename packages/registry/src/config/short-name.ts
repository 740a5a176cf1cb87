/**
 * Which registries a name without one may mean.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-registries.conf.5.md
 * @module
 */
import {
  DEFAULT_HOST,
  formatReference,
  isShortName,
  parseRawReference,
  parseReference,
  withDefaultTag,
} from "@stowage/reference";

import { RegistryError } from "../registry-error.ts";
import type { ConfigEventOptions } from "./config-event.ts";
import type { RegistriesConf } from "./registries-conf.ts";
import type { ShortNameMode } from "./registries-file.ts";

/** How {@link resolveShortName} chooses. */
export interface ResolveShortNameOptions extends ConfigEventOptions {
  /** Instead of the one in the files. */
  readonly mode?: ShortNameMode | undefined;
  /** Whether there is somebody who can choose among candidates. @defaultValue false */
  readonly canAsk?: boolean | undefined;
  /**
   * Take names for Docker Hub's where no file says where to search: an empty list does say.
   *
   * @defaultValue false
   */
  readonly defaultToHub?: boolean | undefined;
}

/** What a name may mean. */
export interface ResolvedShortName {
  /** Full names, to be tried in this order. */
  readonly candidates: readonly string[];
  /** Whether somebody has to choose among them, and the choice is to be recorded. */
  readonly ask: boolean;
}

/**
 * The full names that `name` may mean, for a pull. A name with a registry means itself.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_SHORT_NAME` if there is nothing to try, or if several
 *   candidates need a choice and nobody can be asked; {@link @stowage/reference#InvalidReferenceError}
 *   for what is no name, 64 hex digits included: they are an ID.
 */
export function resolveShortName(
  conf: RegistriesConf,
  name: string,
  options: ResolveShortNameOptions = {},
): ResolvedShortName {
  const { mode = conf.shortNameMode, canAsk = false, defaultToHub = false, onEvent } = options;
  if (!isShort(name)) return { candidates: [fullName(name)], ask: false };
  const alias = aliasOf(conf, name);
  if (alias !== undefined) {
    const candidates = [alias.target];
    onEvent?.({ type: "short-name", name, candidates, source: `${alias.file} [aliases]` });
    return { candidates, ask: false };
  }
  const { searchRegistries = defaultToHub ? [DEFAULT_HOST] : [] } = conf;
  const candidates = searchRegistries.map((host) => fullName(`${host}/${name}`));
  const files = conf.files.length === 0 ? "registries.conf" : conf.files.join(", ");
  if (candidates.length === 0) {
    throw new RegistryError(
      "ERR_REGISTRY_SHORT_NAME",
      `${name}: no registry is named, and ${files} has neither an alias nor unqualified-search-registries`,
      { hint: `Write the full name, such as docker.io/library/${name}.` },
    );
  }
  const isOpen = candidates.length > 1 && mode !== "disabled";
  if (isOpen && mode === "enforcing" && !canAsk) {
    throw new RegistryError(
      "ERR_REGISTRY_SHORT_NAME",
      `${name}: may be ${candidates.join(" or ")}, short-name-mode is enforcing, and there is no terminal to ask at`,
      { hint: "Write the full name, or add an alias to registries.conf." },
    );
  }
  const source = `${files} unqualified-search-registries`;
  if (conf.searchRegistries !== undefined) {
    onEvent?.({ type: "short-name", name, candidates, source });
  }
  return { candidates, ask: isOpen && canAsk };
}

/** The full names under which `name` may be here already, in the order in which to look. */
export function resolveLocally(
  conf: RegistriesConf,
  name: string,
  options: Pick<ResolveShortNameOptions, "defaultToHub"> = {},
): readonly string[] {
  if (!isShort(name)) return [fullName(name)];
  const alias = aliasOf(conf, name)?.target;
  const { searchRegistries = options.defaultToHub === true ? [DEFAULT_HOST] : [] } = conf;
  const searched = ["localhost", ...searchRegistries].map((host) => fullName(`${host}/${name}`));
  return [...(alias === undefined ? [] : [alias]), ...searched];
}

// 64 hex digits would pass for a name, but are an ID: parsing them says so.
function isShort(name: string): boolean {
  return isShortName(name) && !/^[0-9a-f]{64}$/u.test(name);
}

function aliasOf(
  conf: RegistriesConf,
  name: string,
): { readonly target: string; readonly file: string } | undefined {
  const { domain, path, tag, digest } = parseRawReference(name);
  const alias = conf.aliases.get(domain === "" ? path : `${domain}/${path}`);
  if (alias === undefined || alias.value === "") return undefined;
  const tagged = tag === undefined ? "" : `:${tag}`;
  const pinned = digest === undefined ? "" : `@${digest}`;
  return { target: fullName(`${alias.value}${tagged}${pinned}`), file: alias.file };
}

function fullName(text: string): string {
  return formatReference(withDefaultTag(parseReference(text)));
}
