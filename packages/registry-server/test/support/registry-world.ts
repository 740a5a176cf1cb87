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
  const tags = createMemoryTagStore();
  const server = createRegistryServer({ content, tags, ...options });
  const listening = await server.listen();
  return {
    content,
    tags,
    ...listening,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
