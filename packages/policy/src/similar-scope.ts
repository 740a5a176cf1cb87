import type { ImageScopes } from "./policy-scope.ts";

/** A scope of a policy that looks as if it were an image's, and is not. */
export interface SimilarScope {
  readonly scope: string;
  /** What it would have to be. */
  readonly meant: string;
}

/** Finds scopes that miss an image by a port, a scheme, a slash or a name that is too short. */
export function findSimilarScopes(
  scopes: readonly string[],
  { transport, identity, namespaces }: ImageScopes,
): readonly SimilarScope[] {
  if (transport !== "docker") return [];
  const own = [identity, ...namespaces];
  return scopes.flatMap((scope) => {
    if (scope === "" || own.includes(scope)) return [];
    const forms = plainForms(scope);
    const meant = own.find((name) => plainForms(name).some((form) => forms.includes(form)));
    return meant === undefined ? [] : [{ scope, meant }];
  });
}

/** Without what people leave out, or write where it does not belong. */
function plainForms(scope: string): readonly string[] {
  const bare = scope
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/\/+$/, "")
    .replace(/^([^/]+):\d+(?=\/|$)/, "$1");
  const [host = "", ...path] = bare.split("/");
  // What has neither dot nor port is no host, but a name of Docker Hub.
  if (host.includes(".") || host === "localhost") {
    return host === "docker.io" && path.length === 1
      ? [bare, `docker.io/library/${path[0]}`]
      : [bare];
  }
  return [path.length === 0 ? `docker.io/library/${bare}` : `docker.io/${bare}`];
}
