import { HUB_ALIASES } from "./lookalike-host.ts";
import type { ImageScopes } from "./policy-scope.ts";
import { matchScopePattern, readScopePattern } from "./scope-pattern.ts";
import { isSpelledAlike } from "./spelled-alike.ts";
import { tidyScope } from "./tidy-scope.ts";

/** A scope of a policy that looks as if it were an image's, and is not. */
export interface SimilarScope {
  /** As it stands there, but for a user and a password. */
  readonly scope: string;
  /** What it would have to be. */
  readonly meant: string;
  /**
   * That it differs by a letter or a port, is of another registry or of none, for one tag or digest
   * alone, for the hosts below a host or for the host alone, a pattern as scopes are none, or stands
   * below another transport, so that nobody can tell whether the image is meant; otherwise it is only
   * written as scopes are not.
   */
  readonly doubt?:
    | "hosts"
    | "pattern"
    | "port"
    | "registry"
    | "spelling"
    | "tag"
    | "transport"
    | "unnamed";
  /** The transport that it stands below if that is not the image's. */
  readonly transport?: string;
  /** Where it stands in the policy, counted from 1. */
  readonly line?: number;
}

/**
 * Finds scopes that miss an image by a port, a scheme, a slash or a name that is too short; and those
 * that may be meant for it: of one other letter, of another tag, or of another registry, such as a
 * mirror.
 */
export function findSimilarScopes(
  scopes: readonly string[],
  image: ImageScopes,
): readonly SimilarScope[] {
  if (image.transport !== "docker") return [];
  const compare = compareScopes(image);
  return scopes.flatMap((scope) => {
    const found = compare(scope);
    return found === undefined ? [] : [{ scope, ...found }];
  });
}

/** What a scope has in common with an image in a registry. */
export type ScopeLikeness = Pick<SimilarScope, "doubt" | "meant">;

/** As {@link findSimilarScopes}, of one scope after the other. */
export function compareScopes({
  identity,
  namespaces,
}: ImageScopes): (scope: string) => ScopeLikeness | undefined {
  const own = [identity, ...namespaces];
  const forms = own.flatMap((name) => plainForms(name).map((form) => ({ name, form })));
  const nameOf = new Map(forms.toReversed().map(({ name, form }) => [form, name]));
  const spelled = forms.filter(({ form }) => !isWholeZone(form));
  const [repository] = namespaces;
  const ofPath = new Map(namespaces.toReversed().map((name) => [pathOf(name), name]));
  return (scope) => {
    if (scope === "" || own.includes(scope)) return undefined;
    const { pattern } = readScopePattern(scope) ?? {};
    if (pattern !== undefined) {
      const meant = matchScopePattern(pattern, own);
      return meant === undefined ? undefined : { meant, doubt: "pattern" };
    }
    const written = writtenForms(scope).map((form) => ({ form, bare: untagged(form) }));
    for (const { form } of written) {
      const meant = nameOf.get(form);
      if (meant === undefined) continue;
      return isOfPort(scope, meant) ? { meant, doubt: "port" } : { meant };
    }
    const other = otherHosts(scope, namespaces);
    if (other !== undefined) return { meant: other, doubt: "hosts" };
    const named = isRegistry(scope.split("/", 1)[0] ?? "")
      ? undefined
      : ofPath.get(tidyScope(scope));
    if (named !== undefined) return { meant: named, doubt: "unnamed" };
    for (const { bare } of written) {
      const meant = nameOf.get(bare);
      if (meant !== undefined) return { meant, doubt: "tag" };
    }
    const meant = spelled.find(({ form: other }) =>
      written.some(
        ({ form, bare }) => (form === bare) === !isTagged(other) && isSpelledAlike(other, form),
      ),
    )?.name;
    if (meant !== undefined) return { meant, doubt: "spelling" };
    return repository !== undefined && written.some(({ bare }) => isElsewhere(repository, bare))
      ? { meant: repository, doubt: "registry" }
      : undefined;
  };
}

/** Whether two that are the same but for a port have one and another, or one and none. */
function isOfPort(scope: string, meant: string): boolean {
  const [one, other] = [tidyScope(scope), meant].map((name) => /^[^/:]*(?::(\d+))?/.exec(name));
  return one?.[0]?.toLowerCase() !== other?.[0] && one?.[1] !== other?.[1];
}

/** What is for the hosts below one covers not that one, nor does it cover them. */
function otherHosts(scope: string, namespaces: readonly string[]): string | undefined {
  const name = tidyScope(scope).toLowerCase();
  if (!name.includes(".") || /[/:]/.test(name)) return undefined;
  if (!name.startsWith("*."))
    return isWholeZone(`*.${name}`) ? undefined : namespaces.find((own) => own === `*.${name}`);
  return namespaces.find((own) => !own.includes("/") && own.replace(/:\d+$/, "") === name.slice(2));
}

/** A name without its registry; the registry's own has none. */
function pathOf(name: string): string {
  return name.includes("/") ? name.slice(name.indexOf("/") + 1) : name;
}

function isRegistry(first: string): boolean {
  return /[.:]/.test(first) || first === "localhost";
}

/** As `*.io`, of which many are as alike. */
function isWholeZone(name: string): boolean {
  return /^\*\.[^.]*$/.test(name);
}

function isTagged(name: string): boolean {
  return untagged(name) !== name;
}

function untagged(name: string): string {
  const bare = name.split("@", 1)[0] ?? "";
  const slash = bare.lastIndexOf("/");
  const colon = slash === -1 ? -1 : bare.indexOf(":", slash);
  return colon === -1 ? bare : bare.slice(0, colon);
}

/** The scope has the same repository of another registry, or below another folder there. */
function isElsewhere(repository: string, bare: string): boolean {
  const [path, other] = [repository, bare].map((name) => name.slice(name.indexOf("/") + 1));
  const [host, otherHost] = [repository, bare].map((name) => name.split("/")[0]);
  if (host === otherHost || !bare.includes("/") || !path || !other) return false;
  return path === other || other.endsWith(`/${path}`) || path.endsWith(`/${other}`);
}

/** As {@link plainForms}, of what somebody wrote: below Docker Hub nobody has the name of a registry. */
function writtenForms(scope: string): readonly string[] {
  const { whole } = readScopePattern(scope) ?? {};
  return plainForms(whole ?? scope).flatMap((form) => {
    const rest = /^docker\.io\/((?:[^/]+\.[^/]+|localhost)(?:\/.*)?)$/.exec(form)?.[1];
    return rest === undefined || form.endsWith(`/library/${rest}`)
      ? [form]
      : [...plainForms(rest), form];
  });
}

/** Without what people leave out, or write where it does not belong. */
function plainForms(scope: string): readonly string[] {
  const bare = tidyScope(scope)
    .toLowerCase()
    .replace(/\/?\**$/, "");
  const [first = "", ...path] = bare.split("/");
  if (first === "") return [];
  const host = first.replace(/:\d+$/, "");
  const whole = [host, ...path].join("/");
  if (HUB_ALIASES.has(host)) return [hubName(path)];
  // What has neither dot nor port is no host, but a name of Docker Hub.
  if (/[.]/.test(host.split(":")[0] ?? "") || host === "localhost") {
    return host === "docker.io" && path.length === 1
      ? [whole, `docker.io/library/${path[0]}`]
      : [whole];
  }
  const short = path.length === 0 ? [`docker.io/library/${whole}`] : [];
  return [...short, `docker.io/${whole}`, whole];
}

/** As the site of Docker Hub has them: `hub.docker.com/r/acme/app` and `hub.docker.com/_/app`. */
function hubName([first, ...rest]: readonly string[]): string {
  const isSite = first === "r" || first === "_";
  const path = first === "_" ? ["library", ...rest] : isSite ? rest : [first ?? [], ...rest].flat();
  return ["docker.io", ...path].join("/");
}
