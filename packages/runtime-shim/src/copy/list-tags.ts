import { parseReference, type Tag } from "@stowage/reference";

import type { RegistryAccess, RegistrySettings } from "../runtime-options.ts";
import { wireRegistry } from "../wire-registry.ts";

/** How {@link listTags} asks. */
export interface ListTagsOptions extends RegistryAccess, RegistrySettings {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The tags of a repository, page by page, in the registry's order; no store is opened.
 *
 * @param repository - its name; a tag or digest behind it is passed over.
 */
export async function* listTags(
  repository: string,
  options: ListTagsOptions,
): AsyncGenerator<Tag, void, undefined> {
  const { signal } = options;
  const reference = parseReference(repository);
  await using client = await wireRegistry(options);
  yield* client.repository(reference.repository).tags({ signal });
}
