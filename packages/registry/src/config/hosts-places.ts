import { formatRepository, type Repository, registryEndpointHost } from "@stowage/reference";
import type { RepositoryPath } from "@stowage/reference";

import type { Place, Places } from "../place.ts";
import type { HostCapability, HostServer, HostsFile } from "./hosts-file.ts";

/**
 * Where a repository is read as a `hosts.toml` says: those of its servers that may be asked, in
 * their order. The last one's word is final.
 *
 * @param blockerOf - the file that forbids a place, whoever names it.
 */
export function findHostsPlaces(
  hosts: HostsFile,
  repository: Repository,
  needed: readonly HostCapability[],
  blockerOf: (physical: Repository) => string | undefined,
): Places {
  const places = hosts.servers
    .filter(({ capabilities }) => needed.every((one) => capabilities.has(one)))
    .map((server) => placeOf(hosts.file, server, repository, blockerOf));
  const primary = places.pop() ?? { repository, blockedBy: hosts.file };
  return { mirrors: places.map((place) => ({ ...place, isMirror: true })), primary };
}

/** Where a repository is written: at the first server that takes anything. */
export function findHostsTarget(
  hosts: HostsFile,
  repository: Repository,
  blockerOf: (physical: Repository) => string | undefined,
): Place {
  const server = hosts.servers.find(({ capabilities }) => capabilities.has("push"));
  if (server === undefined) return { repository, blockedBy: hosts.file };
  return placeOf(hosts.file, server, repository, blockerOf);
}

/** The registry itself as a `hosts.toml` says that it is reached; `undefined` if it says nothing. */
export function findOwnPlace(hosts: HostsFile, repository: Repository): Place | undefined {
  const server = hosts.servers.find((one) => isOwn(one, repository));
  return server && placeOf(hosts.file, server, repository, () => undefined);
}

function placeOf(
  file: string,
  server: HostServer,
  repository: Repository,
  blockerOf: (physical: Repository) => string | undefined,
): Place {
  const { url, key } = server;
  const own = isOwn(server, repository);
  const physical = {
    host: own || url === undefined ? repository.host : url.host,
    path: `${url?.prefix ? `${url.prefix}/` : ""}${repository.path}` as RepositoryPath,
  };
  const blockedBy = blockerOf(physical);
  return {
    repository: physical,
    file,
    server,
    key: `${file} ${key} ${formatRepository(physical)}`,
    ...(!own && { namespace: repository.host }),
    ...(blockedBy !== undefined && { blockedBy }),
  };
}

/** Whether a server is the registry itself, whose Hub answers at another name. */
function isOwn({ url }: HostServer, { host }: Repository): boolean {
  return url === undefined || registryEndpointHost(url.host) === registryEndpointHost(host);
}
