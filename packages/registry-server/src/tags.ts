import { type Exchange, sendJson } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";

const MAX_PAGE = 1000;

/** `GET` of the tags, in pages of `n` after `last`. */
export async function listTags(exchange: Exchange): Promise<void> {
  const { url, repository, target, tags } = exchange;
  if (target !== "list") throw new ProtocolError(404, "NAME_INVALID", "no such path");
  const all = await tags.tags(repository);
  if (all === undefined) throw new ProtocolError(404, "NAME_UNKNOWN", "no such repository");
  const asked = url.searchParams.get("n");
  if (asked !== null && !/^\d{1,9}$/.test(asked))
    throw new ProtocolError(400, "UNSUPPORTED", "n is no number");
  const size = Math.min(asked === null ? MAX_PAGE : Number(asked), MAX_PAGE);
  const last = url.searchParams.get("last") ?? "";
  const rest = all.filter((tag) => tag > last);
  const page = rest.slice(0, size);
  const next = new URLSearchParams({ n: String(size), last: page.at(-1) ?? "" });
  sendJson(
    exchange,
    200,
    { name: repository, tags: page },
    rest.length > page.length && page.length > 0
      ? { link: `</v2/${repository}/tags/list?${next}>; rel="next"` }
      : {},
  );
}
