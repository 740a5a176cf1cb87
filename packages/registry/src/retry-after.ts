/**
 * Milliseconds that a `Retry-After` header asks for; `undefined` if it says nothing usable.
 *
 * @param now - milliseconds since the epoch, for the form that is a date.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function parseRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,15}$/u.test(text)) return Number(text) * 1000;
  if (!/^[A-Z][a-z]{2,8},? /u.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) || date <= now ? undefined : date - now;
}
