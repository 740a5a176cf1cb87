/** What whoever wrote a scope that can match no image most likely meant, as a sentence. */
export function suggestScope(scope: string): string {
  const bare = scope.replace(/^[a-z]+:\/\//i, "").replace(/\/+$/, "");
  if (/^\*[^.]/.test(scope))
    return `Write *.${scope.replace(/^\*\.?/, "")} for the hosts below it.`;
  if (!bare.includes("/") && !bare.includes(".") && bare !== "localhost") {
    return `Scopes are full names: docker.io/library/${bare}, perhaps.`;
  }
  if (bare !== scope) return `Write ${bare}: a scope has neither a scheme nor a slash at its end.`;
  return "Scopes are full names, as in docker.io/library or quay.io, or *.example.com.";
}
