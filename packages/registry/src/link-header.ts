const LINK = /<([^<>]*)>((?:\s*;\s*[^;,"]+(?:"[^"]*")?)*)/gu;

/**
 * The target of the first `rel=next` link, as it stands in the header.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8288#section-3
 */
export function parseNextLink(header: string | readonly string[] | undefined): string | undefined {
  const values = header === undefined ? [] : typeof header === "string" ? [header] : header;
  for (const value of values) {
    for (const [, target, parameters = ""] of value.matchAll(LINK)) {
      if (/;\s*rel\s*=\s*(?:next\b|"[^"]*\bnext\b[^"]*")/iu.test(parameters)) return target;
    }
  }
  return undefined;
}
