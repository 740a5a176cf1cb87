import { readScopePattern, type ScopePattern } from "./scope-pattern.ts";
import { tidyScope } from "./tidy-scope.ts";
import { isReachableDockerScope } from "./transport-scope.ts";

/** What whoever wrote a scope that can match no image most likely meant, as a sentence. */
export function suggestScope(scope: string): string {
  if (/^[\s*/]*$/.test(scope)) return 'Write "" for all images of docker.';
  const tidy = tidyScope(scope);
  if (/^\*[^./:*][^*/:]*$/.test(tidy))
    return `Write *.${tidy.replace(/^\*\.?/, "")} for the hosts below it.`;
  const found = readScopePattern(scope);
  if (found !== undefined) return suggestWithout(found);
  const [host = "", tail] = (tidy.split("/")[0] ?? "").split(":");
  const hasPort = tail !== undefined && tidy.includes("/");
  if (!host.includes(".") && host !== "localhost" && !hasPort) {
    const name = tidy.includes("/") ? `docker.io/${tidy}` : `docker.io/library/${tidy}`;
    return `Scopes are full names: ${isReachableDockerScope(name) ? `${name}, perhaps.` : EXAMPLES}`;
  }
  if (tidy !== scope && isReachableDockerScope(tidy))
    return `Write ${tidy}: a scope has no scheme, no user, no blanks, and a slash only between two parts.`;
  const small = tidy.toLowerCase();
  if (small !== tidy && isReachableDockerScope(small))
    return `Write ${small}: names of images are in small letters.`;
  const digested = tidy.replace(/:[^/@]*@/, "@");
  if (digested !== tidy && isReachableDockerScope(digested))
    return `Write ${digested}: of tag and digest the digest decides.`;
  return `Scopes are full names: ${EXAMPLES}`;
}

function suggestWithout({ pattern, whole }: ScopePattern): string {
  const isReachable = whole !== undefined && isReachableDockerScope(whole);
  if (pattern === undefined && isReachable)
    return `Write ${whole}: a scope covers all below it, and * stands only for hosts, as in *.example.com.`;
  const all = !isReachable ? "" : `, or ${whole} if all of it is meant`;
  return `Write each that is meant in full, a scope for each${all}: * stands only for all of what is before a host, as in *.example.com, and never for a part of a name, a tag or a port.`;
}

const EXAMPLES = "docker.io/library, quay.io/team/app or *.example.com, for example.";
