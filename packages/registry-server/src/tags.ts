import { type Exchange, sendJson } from "./exchange.ts";
import { pageOf } from "./list-page.ts";
import { ProtocolError } from "./protocol-error.ts";

/** `GET` of the tags, in pages of `n` after `last`. */
export async function listTags(exchange: Exchange): Promise<void> {
  const { repository, target, tags } = exchange;
  if (target !== "list") throw new ProtocolError(404, "NAME_INVALID", "no such path");
  const all = await tags.tags(repository);
  if (all === undefined) throw new ProtocolError(404, "NAME_UNKNOWN", "no such repository");
  const { entries, headers } = pageOf(exchange, all);
  sendJson(exchange, 200, { name: repository, tags: entries }, headers);
}
