import { type Digest, isDigest } from "@stowage/content";
import {
  formatRepository,
  type RegistryHost,
  type Repository,
  type RepositoryPath,
  type Tag,
} from "@stowage/reference";

import type { ContainerdHosts } from "./config/containerd-hosts.ts";
import type { ConfigEvent } from "./config/config-event.ts";
import type { HostsFile } from "./config/hosts-file.ts";
import { findHostsPlaces, findHostsTarget, findOwnPlace } from "./config/hosts-places.ts";
import { blockerOf, findPullSources, findPushTarget } from "./config/pull-sources.ts";
import type { RegistriesConf } from "./config/registries-conf.ts";
import { findRegistryTable } from "./config/registry-prefix.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Place, Places } from "./place.ts";

/** What a {@link PlaceFinder} goes by. */
export interface PlaceFinderOptions {
  readonly mirrors?:
    | ((repository: Repository, target: Tag | Digest) => readonly Endpoint[])
    | undefined;
  readonly registries?: RegistriesConf | undefined;
  readonly hosts?: ContainerdHosts | undefined;
  readonly onEvent?: ((event: ConfigEvent) => void) | undefined;
}

// More could only be a loop or a prank.
const MAX_MIRRORS = 20;

/**
 * Where repositories are read and written: as the table of `registries.conf` says that is for them;
 * where there is none, as the `hosts.toml` of their registry says; else under their own names.
 */
export class PlaceFinder {
  readonly #options: PlaceFinderOptions;
  readonly #told = new Set<string>();

  constructor(options: PlaceFinderOptions) {
    this.#options = options;
  }

  /** Where to read for a tag or for content by its digest; without either as for a tag. */
  pull(repository: Repository, target: Tag | Digest | undefined): Places {
    const { mirrors, primary } = this.#pull(repository, target);
    const given = target === undefined ? [] : (this.#options.mirrors?.(repository, target) ?? []);
    return { mirrors: [...given, ...mirrors].slice(0, MAX_MIRRORS), primary };
  }

  /** Where to write. */
  push(repository: Repository): Place {
    return this.#guarded(repository, (hosts) => {
      if (hosts === undefined) return this.#own(repository);
      return findHostsTarget(hosts, repository, (physical) => this.#blockerOf(physical));
    });
  }

  /** Where a registry is, for what is about no repository. */
  host(host: RegistryHost): Place {
    // No repository: a token for one would have to name it.
    const repository = { host, path: "" as RepositoryPath };
    return this.#guarded(repository, (hosts) => {
      return (hosts && findOwnPlace(hosts, repository)) ?? this.#own(repository);
    });
  }

  #pull(repository: Repository, target: Tag | Digest | undefined): Places {
    const { registries } = this.#options;
    const name = formatRepository(repository);
    const found = registries && findPullSources(registries, repository, target);
    if (found?.table !== undefined) {
      const { table, mirrors, primary } = found;
      const { prefix, file } = table;
      const sources = [...mirrors, primary].map((place) => formatRepository(place.repository));
      this.#tell({ type: "registry-table", repository: name, prefix, file, sources });
      return { mirrors, primary };
    }
    const none = { mirrors: [], primary: this.#own(repository) };
    let places: Places = none;
    const primary = this.#guarded(repository, (hosts) => {
      if (hosts === undefined) return none.primary;
      const needed =
        target !== undefined && isDigest(target)
          ? ["pull" as const]
          : (["pull", "resolve"] as const);
      places = findHostsPlaces(hosts, repository, needed, (physical) => this.#blockerOf(physical));
      const all = [...places.mirrors, places.primary];
      this.#tell({
        type: "hosts-file",
        repository: name,
        file: hosts.file,
        keys: all.flatMap(({ server }) => server?.key ?? []),
        sources: all.map((place) => formatRepository(place.repository)),
      });
      return places.primary;
    });
    return { ...places, primary };
  }

  /** What `find` makes of the `hosts.toml`, if it is its turn; a file that is none is a failure. */
  #guarded(repository: Repository, find: (hosts: HostsFile | undefined) => Place): Place {
    const { registries, hosts } = this.#options;
    const name = repository.path === "" ? repository.host : formatRepository(repository);
    const isSaid = findRegistryTable(registries?.registries ?? [], name) !== undefined;
    try {
      return find(isSaid ? undefined : hosts?.(repository.host));
    } catch (failure) {
      return { repository, failure };
    }
  }

  #own(repository: Repository): Place {
    const { registries } = this.#options;
    return registries === undefined ? { repository } : findPushTarget(registries, repository);
  }

  #blockerOf(physical: Repository): string | undefined {
    const { registries } = this.#options;
    return registries && blockerOf(registries, physical);
  }

  /** Once for tags and once for digests, not for every blob. */
  #tell(event: Extract<ConfigEvent, { readonly sources: readonly string[] }>): void {
    const id = `${event.type} ${event.repository} ${event.sources.join()}`;
    if (this.#told.has(id)) return;
    this.#told.add(id);
    this.#options.onEvent?.(event);
  }
}
