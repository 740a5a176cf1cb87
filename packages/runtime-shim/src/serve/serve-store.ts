import {
  type Digest,
  type FetchedManifest,
  hasErrorCode,
  parseManifest,
  readContent,
} from "@stowage/content";
import type { ManifestEntry, RegistryServer } from "@stowage/registry-server";

import { pullFrom } from "../copy/store-destination.ts";
import type { RuntimeOptions } from "../runtime-options.ts";
import { createRuntime, type Runtime } from "../runtime.ts";

/** What {@link serveStore} serves, and to whom. */
export interface ServeStoreOptions extends RuntimeOptions {
  /** Whether images may be pushed and names be taken away. @defaultValue false */
  readonly writable?: boolean | undefined;
  /** Whom to let in. Everybody who can reach it, unless told. */
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
}

/**
 * Serves a store as a registry. Images that are pushed by a tag go into the store as by a pull of
 * `localhost/PATH:TAG`: the policy is asked, and a refusal is the client's answer.
 */
export async function serveStore(options: ServeStoreOptions): Promise<RegistryServer> {
  const { writable = false, auth } = options;
  const { createRegistryServer } = await import("@stowage/registry-server");
  const { keepBlobs } = await import("./kept-blobs.ts");
  const { createPushLease } = await import("./push-lease.ts");
  const { createStoreTags } = await import("./store-tags.ts");
  const runtime = await createRuntime(options);
  try {
    // What was pushed and has no name yet must not be collected.
    const pushes = writable ? createPushLease(runtime.store) : undefined;
    const tags = createStoreTags(runtime, {
      keepImage: (entry, name) => keepImage(runtime, options, entry, name),
      hold: async (entry) => pushes?.hold(await namedBy(runtime, entry), true),
    });
    const content = keepBlobs(runtime.store.blobs, pushes);
    const server = createRegistryServer({ content, tags, readOnly: !writable, auth });
    return {
      listen: (where) => server.listen(where),
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]();
        await pushes?.[Symbol.asyncDispose]();
        await runtime[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await runtime[Symbol.asyncDispose]();
    throw error;
  }
}

/** A manifest and the blobs that it names; the entries of an index are pushed as manifests of their own. */
async function namedBy({ store }: Runtime, entry: ManifestEntry): Promise<readonly Digest[]> {
  const bytes = await readContent(store.blobs, entry);
  const { document } = parseManifest(bytes, entry.mediaType, entry.digest);
  if (document.kind === "index") return [entry.digest];
  const { config, layers } = document.manifest;
  return [entry, config, ...layers].map(({ digest }) => digest);
}

async function keepImage(
  runtime: Runtime,
  options: ServeStoreOptions,
  entry: ManifestEntry,
  name: string,
): Promise<boolean> {
  const { blobs } = runtime.store;
  const fetchManifest = async (wanted: ManifestEntry): Promise<FetchedManifest> =>
    parseManifest(await readContent(blobs, wanted), wanted.mediaType, wanted.digest);
  const source = {
    name,
    fetchRoot: () => fetchManifest(entry),
    fetchManifest,
    openContent: blobs.openContent,
  };
  try {
    await pullFrom(source, runtime, name, { runtime: options });
    return true;
  } catch (error) {
    // An artifact, or an index of images for others: served, and not kept.
    const isNoImage = hasErrorCode(
      error,
      "ERR_IMAGE_UNSUPPORTED_MEDIA_TYPE",
      "ERR_CONTENT_PLATFORM_NOT_FOUND",
      "ERR_IMAGE_NESTED_INDEX",
    );
    if (isNoImage) return false;
    throw error;
  }
}
