import type { JsonValue } from "@stowage/content";
import { parseTag, type Tag } from "@stowage/reference";

import type { RegistryConnection } from "./registry-connection.ts";
import type { TransportOptions } from "./transport.ts";
import { walkPages } from "./walk-pages.ts";

/** Entries of a tag list that are no tags, and were left out. */
export interface TagsSkippedEvent {
  readonly type: "tags-skipped";
  readonly count: number;
}

/** How {@link walkTags} reads. */
export interface WalkTagsOptions extends TransportOptions {
  readonly onEvent?: ((event: TagsSkippedEvent) => void) | undefined;
}

/** All tags, page by page, in the registry's order. */
export async function* walkTags(
  connection: RegistryConnection,
  { signal, onEvent }: WalkTagsOptions,
): AsyncGenerator<Tag, void, undefined> {
  const first = await connection.request("GET", "tags/list", {}, signal);
  for await (const page of walkPages(connection, first, "tags", { signal })) {
    const tags = page.flatMap(toTag);
    if (tags.length < page.length) {
      onEvent?.({ type: "tags-skipped", count: page.length - tags.length });
    }
    yield* tags;
  }
}

function toTag(text: JsonValue): Tag[] {
  if (typeof text !== "string") return [];
  try {
    return [parseTag(text)];
  } catch {
    return [];
  }
}
