import { escapeText } from "@stowage/content";

const MAX_URL_LENGTH = 512;

/**
 * A URL fit for a message: origin and path. Query and user information hold signatures and
 * passwords, so they are dropped whole.
 */
export function redactUrl(url: URL): string {
  return escapeText(`${url.protocol}//${url.host}${url.pathname}`, MAX_URL_LENGTH);
}

/** As {@link redactUrl} for text of a stranger that may be no URL. */
export function redactUrlText(text: string): string {
  const url = URL.parse(text);
  if (url !== null && url.host !== "") return redactUrl(url);
  return escapeText(text.replace(/[?#].*$/su, "").replace(/\/\/[^/]*@/u, "//"), 120);
}

/** Takes each of `secrets` out of `text`. */
export function redactSecrets(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length > 0) clean = clean.replaceAll(secret, "[redacted]");
  }
  return clean;
}

/** What an `authorization` header gives away: its credential, and the password if it encodes one. */
export function secretsOf(authorization: string): readonly string[] {
  const credential = authorization.slice(authorization.indexOf(" ") + 1);
  if (!authorization.startsWith("Basic ")) return [credential];
  const decoded = Buffer.from(credential, "base64").toString();
  return [credential, decoded, decoded.slice(decoded.indexOf(":") + 1)];
}
