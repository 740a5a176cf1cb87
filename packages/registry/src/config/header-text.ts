const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/u;
const VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/u;

// What says where a message goes, how long it is and which part is wanted is not for a file to say.
const RESERVED: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "content-range",
  "content-type",
  "expect",
  "host",
  "if-match",
  "if-none-match",
  "if-range",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Whether a name, in lower case, is one of a header that a user may add to requests. */
export function isValidHeaderName(name: string): boolean {
  return NAME.test(name) && !RESERVED.has(name);
}

/** Whether it is a text that a header can hold (RFC 9110, 5.5). */
export function isValidHeaderValue(value: unknown): value is string {
  return typeof value === "string" && VALUE.test(value);
}
