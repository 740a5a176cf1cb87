/**
 * A client of OCI registries: manifests, blobs and tags, with the credentials, certificates and
 * mirrors that the ecosystem's files name.
 *
 * @packageDocumentation
 */
export type { Credentials, CredentialsLookup } from "./auth/credentials.ts";
export { loadCredentials, type LoadCredentialsOptions } from "./auth/docker-config.ts";
export type { ResumeEvent } from "./blobs.ts";
export type { PushBlobOptions, PushedBlob, UploadResumeEvent } from "./push-blob.ts";
export type { ReferrersOptions } from "./referrers.ts";
export { archiveDestination, openArchive } from "./copy/archive.ts";
export {
  type CopiedImage,
  copyImage,
  type CopyImageOptions,
  type CopyProgress,
} from "./copy/copy-image.ts";
export type {
  CopyDestination,
  CopySource,
  WriteBlobOptions,
  WriteManifestOptions,
} from "./copy/copy-place.ts";
export {
  layoutFolderDestination,
  type LayoutFolderOptions,
  openLayoutFolder,
} from "./copy/layout-folder.ts";
export { registryDestination, registrySource } from "./copy/registry-place.ts";
export type { Endpoint } from "./endpoint.ts";
export { loadHostTls, type LoadHostTlsOptions } from "./host-tls.ts";
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
export type {
  MirrorFailedEvent,
  PushManifestOptions,
  RegistryEvent,
  RepositoryClient,
} from "./repository-client.ts";
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
export type { RetryEvent } from "./transport-retry.ts";
export type { WarningEvent } from "./transport-warning.ts";
export { UndiciTransport, type UndiciTransportOptions } from "./undici-transport.ts";
