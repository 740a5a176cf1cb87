import { escapeText } from "@stowage/content";
import { redactCredentials } from "@stowage/reference";

const SHOWN_LENGTH = 160;

/**
 * A scope, or whatever else stands where scopes do, as people may read it: without the user and the
 * password that somebody wrote before it, and cut where it is long.
 */
export function shownScope(scope: string): string {
  return escapeText(withoutSecrets(scope), SHOWN_LENGTH);
}

/** Whether there is a user, or a user and a password, before it. */
export function hasCredentials(scope: string): boolean {
  return withoutSecrets(scope) !== scope;
}

/** As {@link shownScope}, whole and as it is otherwise. */
export function withoutSecrets(scope: string): string {
  // Of a path, and of the root of a store, an @ is a part.
  if (scope.startsWith("/")) return scope;
  const store = /^\[[^\]]*\]/.exec(scope)?.[0] ?? "";
  return store + redactCredentials(scope.slice(store.length));
}

/** What is left when the user and the password are taken away, and the `@` behind them. */
export function withoutUser(scope: string): string {
  return withoutSecrets(scope).replace("[redacted]@", "");
}
