/** A scope whose host is easily taken for another. */
export interface LookalikeScope {
  readonly scope: string;
  /** What its author most likely meant. */
  readonly meant: string;
  readonly why: string;
}

const KNOWN_HOSTS = [
  "docker.io",
  "quay.io",
  "ghcr.io",
  "gcr.io",
  "registry.k8s.io",
  "public.ecr.aws",
  "mcr.microsoft.com",
  "registry.access.redhat.com",
  "registry.redhat.io",
  "registry.fedoraproject.org",
  "registry.gitlab.com",
];
/** Names of Docker Hub that no image has. */
const ALIASES: ReadonlySet<string> = new Set([
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
    if (ALIASES.has(host)) {
      const meant = ["docker.io", ...path].join("/");
      return [{ scope, meant, why: `images of Docker Hub are never named by ${host}` }];
    }
    if (host === "docker.io" && path.length === 1 && path[0] !== "library") {
      const meant = `docker.io/library/${path[0]}`;
      return [
        { scope, meant, why: "it covers what a user of that name has, not an official image" },
      ];
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

/** What fonts make the same. */
function fold(text: string): string {
  return text.toLowerCase().replaceAll("rn", "m").replaceAll("0", "o").replaceAll(/[1i]/g, "l");
}

/** Whether one letter was left out, added, taken for another, or exchanged with the next. */
export function isOneEditAway(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) return false;
  let begin = 0;
  while (begin < one.length && one[begin] === other[begin]) begin += 1;
  const rest = [one.slice(begin), other.slice(begin)] as const;
  const [a, b] = rest;
  const isSwap = a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2);
  return a.slice(1) === b.slice(1) || a === b.slice(1) || a.slice(1) === b || isSwap;
}
