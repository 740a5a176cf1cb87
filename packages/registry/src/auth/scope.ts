import type { TransportMethod } from "../transport.ts";

/** The scope that a request to a repository needs, and no more; none for the registry as such. */
export function scopeOf(method: TransportMethod, repository: string): string {
  if (repository === "") return "";
  const actions = method === "GET" || method === "HEAD" ? "pull" : "pull,push";
  return `repository:${repository}:${method === "DELETE" ? "delete" : actions}`;
}

/**
 * Whether a server that asks for `asked` means what we want to do anyway. We ask only for the scope
 * that we computed, whatever it says; this tells when that would be in vain.
 */
export function isSameResource(asked: string, wanted: string): boolean {
  const resources = wanted.split(" ").map((scope) => scope.slice(0, scope.lastIndexOf(":") + 1));
  return asked
    .split(/\s+/u)
    .some((scope) => resources.some((resource) => scope.startsWith(resource)));
}
