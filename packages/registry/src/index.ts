/**
 * A client of OCI registries: manifests, blobs and tags, with the credentials, certificates and
 * mirrors that the ecosystem's files name.
 *
 * @packageDocumentation
 */
export type { Credentials, CredentialsLookup } from "./auth/credentials.ts";
export {
  loadCredentials,
  type LoadCredentialsOptions,
  requireAuthFile,
} from "./auth/docker-config.ts";
export { logIn, type LogInOptions, type LoggedIn } from "./auth/log-in.ts";
export { type LoggedOut, logOut } from "./auth/log-out.ts";
export type { LoginPlaceOptions } from "./auth/login-target.ts";
export type {
  CertificatesEvent,
  ConfigEvent,
  ConfigEventOptions,
  ConfigFileEvent,
  CredentialsEvent,
  ExposedFileEvent,
  HostsFileEvent,
  ProxyEvent,
  RegistryTableEvent,
  ShortNameEvent,
} from "./config/config-event.ts";
export {
  type ContainerdHosts,
  loadContainerdHosts,
  type LoadContainerdHostsOptions,
} from "./config/containerd-hosts.ts";
export type {
  ClientCertificateFiles,
  HostCapability,
  HostServer,
  HostsFile,
} from "./config/hosts-file.ts";
export type { ServerUrl } from "./config/server-url.ts";
export { loadProxies, type LoadProxiesOptions } from "./config/proxies.ts";
export { findPullSources, type PullSources } from "./config/pull-sources.ts";
export {
  loadRegistriesConf,
  type LoadRegistriesConfOptions,
  type RegistriesConf,
} from "./config/registries-conf.ts";
export type { ShortNameAlias, ShortNameMode } from "./config/registries-file.ts";
export {
  loadStorageConf,
  type LoadStorageConfOptions,
  type StorageConf,
} from "./config/storage-conf.ts";
export type { MirrorTable, PullFromMirror, RegistryTable } from "./config/registry-table.ts";
export {
  recordShortName,
  shortNameAliasFile,
  type ShortNameAliasOptions,
} from "./config/short-name-aliases.ts";
export {
  resolveLocally,
  type ResolvedShortName,
  resolveShortName,
  type ResolveShortNameOptions,
} from "./config/short-name.ts";
export type { OpenRangeOptions } from "./blob-ranges.ts";
export type { BlobRange } from "./byte-ranges.ts";
export type { ParallelEvent, ResumeEvent } from "./blob-stream.ts";
export type { RestartEvent } from "./blobs.ts";
export type { PushBlobOptions, PushedBlob, UploadResumeEvent } from "./push-blob.ts";
export type { ReferrersOptions } from "./referrers.ts";
export { archiveDestination, openArchive } from "./copy/archive.ts";
export { type CopiedImage, copyImage, type CopyImageOptions } from "./copy/copy-image.ts";
export type { CopyProgress } from "./copy/copy-progress.ts";
export type {
  CopyDestination,
  CopySource,
  HasManifestOptions,
  WriteBlobOptions,
  WriteManifestOptions,
} from "./copy/copy-place.ts";
export {
  dockerDaemonDestination,
  type DockerDaemonOptions,
  openDockerDaemon,
} from "./copy/docker-daemon.ts";
export { imageFolderDestination, openImageFolder } from "./copy/image-folder.ts";
export {
  layoutFolderDestination,
  type LayoutFolderOptions,
  openLayoutFolder,
} from "./copy/layout-folder.ts";
export type { SpoolOptions } from "./copy/spool-file.ts";
export { registryDestination, registrySource } from "./copy/registry-place.ts";
export {
  type SyncedTag,
  syncRepository,
  type SyncRepositoryOptions,
} from "./copy/sync-repository.ts";
export { BandwidthLimit } from "./bandwidth-limit.ts";
export type { NameResolution } from "./name-resolution.ts";
export type { BlobMessage, RequestMessage } from "./diagnostics.ts";
export type { EngineOptions } from "./engine/engine-client.ts";
export type { Endpoint } from "./endpoint.ts";
export { type HostTlsLookup, loadHostTls, type LoadHostTlsOptions } from "./host-tls.ts";
export type { ProxyLogin } from "./auth/auth-gate.ts";
export type { Secret } from "./auth/secret.ts";
export type { Proxy, ProxyLookup } from "./proxy.ts";
export type { RateLimit } from "./rate-limit.ts";
export type { RateLimitPolicy } from "./rate-limit-policy.ts";
export {
  createRegistryClient,
  RegistryClient,
  type RegistryClientOptions,
} from "./registry-client.ts";
export {
  type RegistryDiagnostic,
  RegistryError,
  type RegistryErrorCode,
  type RegistryErrorOptions,
} from "./registry-error.ts";
export {
  isTransferEvent,
  type RegistryEvent,
  type SourceEvent,
  type TransferEvent,
} from "./registry-event.ts";
export type { MirrorFailedEvent } from "./mirror-failure.ts";
export type {
  PeekDigestOptions,
  PushManifestOptions,
  RepositoryClient,
} from "./repository-client.ts";
export type { RepositoriesSkippedEvent } from "./repositories.ts";
export type { TagsSkippedEvent } from "./tags.ts";
export type { TlsOptions } from "./tls-options.ts";
export type {
  ResponseHeaders,
  Transport,
  RequestBody,
  TransportMethod,
  TransportOptions,
  TransportRequest,
  TransportResponse,
} from "./transport.ts";
export type { RateLimitSpentEvent, RetriesSpentEvent, RetryEvent } from "./transport-retry.ts";
export { RequestRate } from "./request-rate.ts";
export type { WarningEvent } from "./transport-warning.ts";
export { UndiciTransport, type UndiciTransportOptions } from "./undici-transport.ts";
