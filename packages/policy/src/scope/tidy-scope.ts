import { withoutUser } from "./shown-scope.ts";

/** Without what never belongs into a scope, and always is meant to be none of it. */
export function tidyScope(scope: string): string {
  return withoutUser(scope.trim())
    .replace(/^(?:[a-z]+:)?\/+/i, "")
    .replaceAll(/\/{2,}/g, "/")
    .replace(/\/$/, "");
}
