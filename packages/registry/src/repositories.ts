import type { JsonValue } from "@stowage/content";
import {
  formatRepository,
  parseRepository,
  type RegistryHost,
  type Repository,
} from "@stowage/reference";

import type { RegistryConnection } from "./registry-connection.ts";
import type { TransportOptions } from "./transport.ts";
import { walkPages } from "./walk-pages.ts";

/** Entries of a registry's catalogue that name no repository, and were left out. */
export interface RepositoriesSkippedEvent {
  readonly type: "repositories-skipped";
  readonly count: number;
}

/** How {@link walkRepositories} reads. */
export interface WalkRepositoriesOptions extends TransportOptions {
  readonly onEvent?: ((event: RepositoriesSkippedEvent) => void) | undefined;
}

// Nothing of one repository, so that a token says it in words of its own.
const SCOPE = "registry:catalog:*";

/**
 * All repositories that a registry lets us see, page by page, in its order.
 *
 * @see https://distribution.github.io/distribution/spec/api/#catalog
 */
export async function* walkRepositories(
  connection: RegistryConnection,
  { signal, onEvent }: WalkRepositoriesOptions,
): AsyncGenerator<Repository, void, undefined> {
  const { host } = connection.repository;
  const first = { ...(await connection.rootRequest("_catalog", signal)), scope: SCOPE };
  for await (const page of walkPages(connection, first, "repositories", { signal })) {
    const found = page.flatMap((text) => toRepository(host, text));
    if (found.length < page.length) {
      onEvent?.({ type: "repositories-skipped", count: page.length - found.length });
    }
    yield* found;
  }
}

/** A name that would mean another registry, or another repository, is as bad as none. */
function toRepository(host: RegistryHost, text: JsonValue): Repository[] {
  if (typeof text !== "string") return [];
  try {
    const repository = parseRepository(`${host}/${text}`);
    return formatRepository(repository) === `${host}/${text}` ? [repository] : [];
  } catch {
    return [];
  }
}
