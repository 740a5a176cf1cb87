import { isReachableDockerScope } from "./transport-scope.ts";

/** What whoever wrote a scope that can match no image most likely meant, as a sentence. */
export function suggestScope(scope: string): string {
  const bare = scope.replace(/^[a-z]+:\/\//i, "").replace(/\/+$/, "");
  if (/^\*[^.]/.test(scope))
    return `Write *.${scope.replace(/^\*\.?/, "")} for the hosts below it.`;
  if (!bare.includes("/") && !bare.includes(".") && bare !== "localhost") {
    return `Scopes are full names: docker.io/library/${bare}, perhaps.`;
  }
  const folder = bare.replace(/\/[^/]*\*.*$/, "");
  if (folder !== bare && isReachableDockerScope(folder))
    return `Write ${folder}: a scope covers all below it, and * stands only for hosts, as in *.example.com.`;
  if (bare !== scope) return `Write ${bare}: a scope has neither a scheme nor a slash at its end.`;
  const small = scope.toLowerCase();
  if (small !== scope && isReachableDockerScope(small))
    return `Write ${small}: names of images are in small letters.`;
  return "Scopes are full names, as in docker.io/library or quay.io, or *.example.com.";
}
