import { fold, isOneEditAway } from "./spelled-alike.ts";

/** A scope whose host is easily taken for another. */
export interface LookalikeScope {
  readonly scope: string;
  /** What its author most likely meant. */
  readonly meant: string;
  readonly why: string;
}

/** Hosts that everybody may name, however alike two of them are. */
export const KNOWN_HOSTS: readonly string[] = [
  "docker.io",
  "quay.io",
  "ghcr.io",
  "gcr.io",
  "icr.io",
  "lscr.io",
  "nvcr.io",
  "registry.k8s.io",
  "public.ecr.aws",
  "mcr.microsoft.com",
  "registry.access.redhat.com",
  "registry.redhat.io",
  "registry.fedoraproject.org",
  "registry.gitlab.com",
];
/** Names of Docker Hub that no image has. */
export const HUB_ALIASES: ReadonlySet<string> = new Set([
  "docker.com",
  "hub.docker.com",
  "index.docker.io",
  "registry-1.docker.io",
  "registry.hub.docker.com",
  "dockerhub.io",
]);

/** Finds scopes of hosts that differ from well-known ones by what eyes do not see. */
export function findLookalikes(scopes: readonly string[]): readonly LookalikeScope[] {
  return scopes.flatMap((scope): LookalikeScope[] => {
    const [host = "", ...path] = scope.split("/");
    if (HUB_ALIASES.has(host)) {
      const meant = ["docker.io", ...path].join("/");
      return [{ scope, meant, why: `images of Docker Hub are never named by ${host}` }];
    }
    if (host === "docker.io" && path[0]?.includes(".")) {
      const why = "that is below Docker Hub, where nobody has the name of a registry";
      return [{ scope, meant: path.join("/"), why }];
    }
    if (host === "docker.io" && path.length === 1 && path[0] !== "library") {
      const meant = `docker.io/library/${path[0]}`;
      return [
        { scope, meant, why: "it covers what a user of that name has, not an official image" },
      ];
    }
    if (host === "docker.io" && path[0] !== "library" && isOneEditAway(path[0] ?? "", "library")) {
      const meant = ["docker.io/library", ...path.slice(1)].join("/");
      return [{ scope, meant, why: "official images are below library" }];
    }
    if (KNOWN_HOSTS.includes(host)) return [];
    const known = KNOWN_HOSTS.find((name) => isAlike(name, host));
    if (known === undefined) return [];
    return [{ scope, meant: [known, ...path].join("/"), why: "the hosts differ" }];
  });
}

function isAlike(known: string, host: string): boolean {
  return fold(known) === fold(host) || isOneEditAway(known, host);
}
