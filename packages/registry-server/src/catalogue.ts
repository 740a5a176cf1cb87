import { type Exchange, sendJson } from "./exchange.ts";
import { pageOf } from "./list-page.ts";

/**
 * `GET` of the names of all repositories, in pages of `n` after `last`.
 *
 * @see https://distribution.github.io/distribution/spec/api/#catalog
 */
export async function listRepositories(
  exchange: Pick<Exchange, "request" | "response" | "tags" | "url">,
): Promise<void> {
  const { entries, headers } = pageOf(exchange, await exchange.tags.repositories());
  sendJson(exchange, 200, { repositories: entries }, headers);
}
