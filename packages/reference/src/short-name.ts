import { parseRawReference } from "./raw-reference.ts";

/**
 * Whether `text` is a reference that names no registry, so that an alias or a search list would
 * choose one. Text that is no reference at all is not short.
 */
export function isShortName(text: string): boolean {
  const domain = rawDomain(text);
  return domain !== undefined && !/[.:]/.test(domain) && domain !== "localhost";
}

function rawDomain(text: string): string | undefined {
  try {
    return parseRawReference(text).domain;
  } catch {
    return undefined;
  }
}
