/** What the tests of several packages share. */
export { type CanaryWorld, makeCanaryWorld } from "./canary-world.ts";
export {
  type CertificateFiles,
  type Certificates,
  type LeafOptions,
  makeCertificates,
  makeSelfSigned,
} from "./certificate.ts";
export { pushChunkedImage } from "./chunked-image.ts";
export {
  type CountingProxy,
  type CountingProxyOptions,
  startCountingProxy,
} from "./counting-proxy.ts";
export { type DockerDaemon, type DockerDaemonKind, startDockerDaemon } from "./docker-daemon.ts";
export {
  type DockerRegistry,
  type DockerRegistryOptions,
  startDockerRegistry,
} from "./docker-registry.ts";
export type { Step } from "./faulty-answer.ts";
export {
  type Fault,
  type FaultyRegistry,
  type FaultyRegistryOptions,
  type FaultyTls,
  type RecordedRequest,
  type RequestMatch,
  type Rule,
  type ScriptedAnswer,
  startFaultyRegistry,
} from "./faulty-registry.ts";
export { type GpgKeyOptions, type GpgKeyring, makeGpgKeyring } from "./gpg-keyring.ts";
export { hostShellEntries } from "./host-shell.ts";
export {
  buildImage,
  buildIndex,
  type BuiltImage,
  type ImageSpec,
  type LayerSpec,
  putBlob,
  putImage,
  putIndex,
} from "./image-builder.ts";
export { listenLocally, type LocalServer } from "./local-server.ts";
export { noise } from "./noise.ts";
export { writeOciLayout } from "./oci-layout.ts";
export { formatPax, type PaxRecord } from "./pax-record.ts";
export { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
export { ensurePeers, findPeer, hasPeer, PEERS, requirePeer } from "./peers.ts";
export { createTar, type TarEntry, type TarEntryType, type TarOptions } from "./tar-writer.ts";
export {
  type RawRequest,
  type RawServer,
  type RawServerOptions,
  startRawServer,
} from "./raw-server.ts";
export { pushRandomImage, type RandomImage, type RandomImageOptions } from "./random-image.ts";
export { tempDir, type TempDir } from "./temp-dir.ts";
export {
  type TokenRequest,
  type TokenServer,
  type TokenServerOptions,
  startTokenServer,
} from "./token-server.ts";
export { diffTrees, snapshotTree, type SnapshotOptions, type TreeEntry } from "./tree-snapshot.ts";
export { textOf, type WatchedWorld, type WatchOptions, watchWorld } from "./watched-world.ts";
