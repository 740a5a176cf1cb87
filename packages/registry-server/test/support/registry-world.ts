import { createMemoryContentStore } from "@stowage/content";
import {
  createMemoryTagStore,
  createRegistryServer,
  type RegistryServerOptions,
} from "@stowage/registry-server";

/** A registry over memory, which ends with its scope. */
export async function serve({
  content = createMemoryContentStore(),
  ...options
}: Partial<RegistryServerOptions> = {}) {
  const { tags = createMemoryTagStore() } = options;
  const server = createRegistryServer({ ...options, content, tags });
  const listening = await server.listen();
  return {
    content,
    tags,
    ...listening,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
