import type { Exchange } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";

const MAX_PAGE = 1000;

/** Some of a list, and the headers that name the page after it, if there is one. */
export interface ListPage {
  readonly entries: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The `n` entries after `last` of a sorted list, as the query says.
 *
 * @throws {@link ProtocolError} 400 for an `n` that is no number.
 */
export function pageOf({ url }: Pick<Exchange, "url">, all: readonly string[]): ListPage {
  const asked = url.searchParams.get("n");
  if (asked !== null && !/^\d{1,9}$/.test(asked))
    throw new ProtocolError(400, "UNSUPPORTED", "n is no number");
  const size = Math.min(asked === null ? MAX_PAGE : Number(asked), MAX_PAGE);
  const last = url.searchParams.get("last") ?? "";
  const rest = all.filter((entry) => entry > last);
  const entries = rest.slice(0, size);
  const next = new URLSearchParams({ n: String(size), last: entries.at(-1) ?? "" });
  const isLast = rest.length === entries.length || entries.length === 0;
  return { entries, headers: isLast ? {} : { link: `<${url.pathname}?${next}>; rel="next"` } };
}
