/**
 * What people leave out: the registry, the namespace of Docker's own images, and the tag.
 *
 * @module
 */
import type { Reference } from "./reference.ts";
import type { Repository } from "./repository.ts";

/** The registry that a name without one means. */
export const DEFAULT_HOST = "docker.io";
/** The tag that a name without tag and digest means. */
export const DEFAULT_TAG = "latest";

const LEGACY_DEFAULT_HOST = "index.docker.io";
const OFFICIAL_NAMESPACE = "library/";
const DEFAULT_HOST_ENDPOINT = "registry-1.docker.io";

/**
 * Fills in registry and namespace: what stands before the first slash is a registry only if it
 * has a dot or a colon, or is `localhost`.
 */
export function expandFamiliarName(text: string): {
  readonly domain: string;
  readonly remainder: string;
} {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const named = /[.:]/.test(first) || first === "localhost";
  const host = named ? first : DEFAULT_HOST;
  const rest = named ? text.slice(slash + 1) : text;
  const domain = host === LEGACY_DEFAULT_HOST ? DEFAULT_HOST : host;
  const official = domain === DEFAULT_HOST && !rest.includes("/");
  return { domain, remainder: official ? OFFICIAL_NAMESPACE + rest : rest };
}

/** The shortest text that {@link parseReference} reads as `reference`: `busybox:1`. */
export function familiarReference(reference: Reference): string {
  const { repository, tag, digest } = reference;
  const tagged = tag === undefined ? "" : `:${tag}`;
  const pinned = digest === undefined ? "" : `@${digest}`;
  return `${familiarRepository(repository)}${tagged}${pinned}`;
}

/** As {@link familiarReference}, without tag and digest. */
export function familiarRepository(repository: Repository): string {
  const { host, path } = repository;
  if (host !== DEFAULT_HOST) return `${host}/${path}`;
  const name = path.startsWith(OFFICIAL_NAMESPACE) ? path.slice(OFFICIAL_NAMESPACE.length) : path;
  return name.includes("/") ? path : name;
}

/** The host to connect to: Docker Hub's API does not live at the host of its name. */
export function registryEndpointHost(host: string): string {
  return host === DEFAULT_HOST ? DEFAULT_HOST_ENDPOINT : host;
}
