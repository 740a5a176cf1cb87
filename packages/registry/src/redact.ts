import { escapeText } from "@stowage/content";

const MAX_URL_LENGTH = 512;
// What is shorter signs nothing, and stands in words.
const MIN_VALUE_LENGTH = 6;

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

/** Takes the query of `url`, and each of its values, out of `text`. */
export function redactQuery(text: string, url: URL): string {
  const values = [...url.searchParams.values()].filter(({ length }) => length >= MIN_VALUE_LENGTH);
  const spelled = values.flatMap((value) => [value, encodeURIComponent(value)]);
  return redactSecrets(text, [url.search, ...spelled]);
}
