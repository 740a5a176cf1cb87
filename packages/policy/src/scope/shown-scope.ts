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
  return withoutCredentials(scope) !== scope;
}

/** As {@link shownScope}, whole and as it is otherwise. */
export function withoutSecrets(text: string): string {
  // Whoever pastes a key where something else belongs may have pasted a private one.
  if (text.includes("-----BEGIN")) return REDACTED;
  return withoutQuery(withoutCredentials(text));
}

/**
 * An identity, or another name that may be a URL, as people may read it. Behind the host of a URL, an
 * `@` is a part of it, as in those of workflows.
 */
export function shownIdentity(text: string): string {
  const [url, scheme = "", authority = ""] =
    /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)([^/?#]*)/.exec(text) ?? [];
  if (url === undefined) return escapeText(withoutSecrets(text));
  const at = endOfCredentials(text, scheme.length, authority);
  return escapeText(withoutQuery(at === -1 ? text : `${scheme}${REDACTED}${text.slice(at)}`));
}

function endOfCredentials(text: string, start: number, authority: string): number {
  if (authority.includes("@")) return start + authority.lastIndexOf("@");
  // What looks like a port and is none is a password with a slash in it.
  return /:(?!\d*$)/.test(authority) ? text.lastIndexOf("@") : -1;
}

function withoutCredentials(scope: string): string {
  // Of a path, and of the root of a store, an @ is a part.
  if (scope.startsWith("/")) return scope;
  const store = /^\[[^\]]*\]/.exec(scope)?.[0] ?? "";
  return store + redactCredentials(scope.slice(store.length));
}

/** Of a path, a question mark is a part. */
function withoutQuery(text: string): string {
  return text.startsWith("/") ? text : text.replace(/\?[^?]*=[^]*/, `?${REDACTED}`);
}

const REDACTED = "[redacted]";

/** What is left when the user and the password are taken away, the `@` behind them, and a query. */
export function withoutUser(scope: string): string {
  return withoutCredentials(scope).replace("[redacted]@", "").replace(/\?.*$/s, "");
}
