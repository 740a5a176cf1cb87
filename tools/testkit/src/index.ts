/** What the tests of several packages share. */
export {
  type DockerRegistry,
  type DockerRegistryOptions,
  startDockerRegistry,
} from "./docker-registry.ts";
export { hostShellEntries } from "./host-shell.ts";
export { type ImageSpec, type LayerSpec, putBlob, putImage, putIndex } from "./image-builder.ts";
export { ensurePeers, findPeer, hasPeer, PEERS } from "./peers.ts";
export { createTar, type TarEntry } from "./tar-writer.ts";
export { tempDir } from "./temp-dir.ts";
