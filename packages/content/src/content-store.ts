import type { ContentProvider } from "./content-provider.ts";
import type { ByteSource } from "./content-provider.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/** What a store knows of content without reading it. */
export interface ContentInfo {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** How a store is asked. */
export interface ContentStoreOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How {@link ContentStore.stat} asks. */
export interface StatContentOptions extends ContentStoreOptions {
  /**
   * Whether somebody is about to refer to it, so that it should stay although nothing does yet; a
   * store that never collects need not mind.
   */
  readonly toRefer?: boolean | undefined;
}

/** Keeps bytes under their digest. */
export interface ContentStore extends ContentProvider {
  stat(digest: Digest, options?: StatContentOptions): Promise<ContentInfo | undefined>;
  /**
   * Takes in what `descriptor` names. The bytes are verified before anybody can see them; where
   * they are here already, `source` is not opened.
   *
   * @throws {@link ContentError} as `verifyContent` does; nothing is kept then.
   */
  write(
    descriptor: Pick<Descriptor, "digest" | "size">,
    source: ByteSource,
    options?: ContentStoreOptions,
  ): Promise<void>;
  /** Resolves to whether there was anything to remove. */
  remove(digest: Digest, options?: ContentStoreOptions): Promise<boolean>;
  walk(options?: ContentStoreOptions): AsyncIterable<ContentInfo>;
}
