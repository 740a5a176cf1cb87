import { isOneEditAway } from "./lookalike-host.ts";
import type { ImageScopes } from "./policy-scope.ts";

/** A scope of a policy that looks as if it were an image's, and is not. */
export interface SimilarScope {
  readonly scope: string;
  /** What it would have to be. */
  readonly meant: string;
  /**
   * That it differs by a letter, or is of another registry, so that nobody can tell whether the image
   * is meant; otherwise it is only written as scopes are not.
   */
  readonly doubt?: "registry" | "spelling";
}

/** What is shorter than this differs from too much by one letter. */
const MIN_SPELLED = 4;

/**
 * Finds scopes that miss an image by a port, a scheme, a slash or a name that is too short; and those
 * that may be meant for it: of one other letter, or of another registry, such as a mirror.
 */
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
    if (meant !== undefined) return [{ scope, meant }];
    const names = namespaces.filter((name) => !name.startsWith("*"));
    const spelled = names.find((name) => isSpelledAlike(name, scope));
    if (spelled !== undefined) return [{ scope, meant: spelled, doubt: "spelling" }];
    const [repository] = names;
    return repository !== undefined && isElsewhere(repository, scope)
      ? [{ scope, meant: repository, doubt: "registry" }]
      : [];
  });
}

/** One part has one other letter, and all else is the same. */
function isSpelledAlike(name: string, scope: string): boolean {
  const [parts, others] = [name, scope].map((text) => text.split("/"));
  if (parts?.length !== others?.length) return false;
  const differing = parts?.flatMap((part, index) =>
    part === others?.[index] ? [] : [[part, others?.[index] ?? ""] as const],
  );
  const [only, more] = differing ?? [];
  if (only === undefined || more !== undefined) return false;
  return only.every(({ length }) => length >= MIN_SPELLED) && isOneEditAway(...only);
}

/** The scope has the same repository of another registry, or below another folder there. */
function isElsewhere(repository: string, scope: string): boolean {
  const bare = scope.replace(/(?:@|:[^:/]*$).*$/, "");
  const [path, other] = [repository, bare].map((name) => name.slice(name.indexOf("/") + 1));
  const [host, otherHost] = [repository, bare].map((name) => name.split("/")[0]);
  if (host === otherHost || !bare.includes("/") || !path || !other) return false;
  return path === other || other.endsWith(`/${path}`) || path.endsWith(`/${other}`);
}

/** Without what people leave out, or write where it does not belong. */
function plainForms(scope: string): readonly string[] {
  const bare = scope
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/\/+\**$/, "")
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
