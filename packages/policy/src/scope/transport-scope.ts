/**
 * Which keys may stand under a transport.
 *
 * @module
 */
import { errorKind, isDigest } from "@stowage/content";
import { parseCanonicalReference, parseRegistryHost } from "@stowage/reference";

import type { Policy } from "../policy.ts";

/** What images come by, as `docker` and `dir`. */
export const TRANSPORTS: readonly string[] = [
  "atomic",
  "containers-storage",
  "dir",
  "docker",
  "docker-archive",
  "docker-daemon",
  "oci",
  "oci-archive",
  "ostree",
  "sif",
  "tarball",
];

/** Whether images come by it. */
export function isTransport(name: string): boolean {
  return TRANSPORTS.includes(name);
}

/** A scope that loads, since containers tools load it, but that no image can ever have. */
export interface UnreachableScope {
  readonly transport: string;
  readonly scope: string;
}

/**
 * Finds scopes of `docker` that cannot match: short names, URLs, trailing slashes, bad wildcards.
 * They are worth a warning, because whoever wrote one believes that it does something.
 */
export function findUnreachableScopes(policy: Policy): readonly UnreachableScope[] {
  return Object.keys(policy.transports["docker"] ?? {})
    .filter((scope) => !isReachableDockerScope(scope))
    .map((scope) => ({ transport: "docker", scope }));
}

/** Whether an image of the `docker` transport can have `scope` as its identity or a namespace. */
export function isReachableDockerScope(scope: string): boolean {
  if (scope === "") return true;
  if (scope.startsWith("*.")) {
    return !scope.includes(":") && succeeds(() => parseRegistryHost(scope.slice(2)));
  }
  // A scope may be a whole name, or a name with up to two components cut off.
  return isIdentityOrRepository(scope) || ["/x", "/x/x"].some((rest) => isCanonical(scope + rest));
}

function isIdentityOrRepository(scope: string): boolean {
  return isCanonical(scope) && !/:[^/@]*@/.test(scope);
}

function isCanonical(name: string): boolean {
  return succeeds(() => parseCanonicalReference(name));
}

/**
 * What is wrong with a scope that is not `""`; `undefined` if nothing is, or if the transport is
 * one whose scopes are not checked.
 */
export function scopeProblem(transport: string, scope: string): string | undefined {
  switch (transport) {
    case "dir":
    case "oci":
    case "oci-archive":
    case "sif":
      return isCleanPath(scope) ? undefined : 'it is no clean absolute path below "/"';
    case "docker-archive":
      return 'it has none but ""';
    case "docker-daemon":
      return isDigest(scope) ? "it is an image ID" : undefined;
    case "containers-storage":
      return STORE_SCOPE.test(scope) ? undefined : "it does not begin with [driver@root] or [root]";
    case "atomic":
      return ATOMIC_SCOPE.test(scope) ? undefined : "it is more than host/namespace/stream:tag";
    default:
      return undefined;
  }
}

/** Whether `path` is absolute, below `/`, and as short as it can be written. */
export function isCleanPath(path: string): boolean {
  const [root, ...names] = path.split("/");
  return root === "" && names.length > 0 && !names.some((name) => ["", ".", ".."].includes(name));
}

const STORE_SCOPE = /^\[(?:[^\]@]+@)?\/[^\]]*\]/;
const ATOMIC_SCOPE = /^[^/]*(?:\/[^:/]*(?:\/[^:/]*(?::[^:/]*)?)?)?$/;

function succeeds(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (errorKind(error) === undefined) throw error;
    return false;
  }
}
