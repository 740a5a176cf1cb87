/**
 * The distribution API over any content store.
 *
 * @packageDocumentation
 */
export {
  createRegistryServer,
  type ListenOptions,
  type RegistryServer,
  type RegistryServerOptions,
} from "./registry-server.ts";
export { RegistryServerError, type RegistryServerErrorCode } from "./registry-server-error.ts";
export { createMemoryTagStore, type ManifestEntry, type TagStore } from "./tag-store.ts";
