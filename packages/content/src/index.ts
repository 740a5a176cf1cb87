/**
 * One vocabulary for images: digests, descriptors, manifests, configs, platforms, bytes, errors.
 *
 * @packageDocumentation
 */
// Before all others, so that it is what an old Node fails with.
import "./require-node.ts";

export { type ChainID, chainIDs, type DiffID } from "./chain-id.ts";
export { ContentError, type ContentErrorCode, type ContentErrorOptions } from "./content-error.ts";
export type {
  ByteSource,
  ContentOrigin,
  ContentProvider,
  OpenContentOptions,
} from "./content-provider.ts";
export type {
  ContentInfo,
  ContentStore,
  ContentStoreOptions,
  StatContentOptions,
} from "./content-store.ts";
export { type Descriptor, EMPTY_DESCRIPTOR, parseDescriptor } from "./descriptor.ts";
export {
  algorithmOf,
  createDigester,
  type Digest,
  type DigestAlgorithm,
  type Digester,
  digestOf,
  encodedOf,
  isDigest,
  parseDigest,
} from "./digest.ts";
export {
  CodedError,
  type CodedErrorOptions,
  type ErrorKind,
  errorKind,
  hasErrorCode,
} from "./errors.ts";
export { escapeText } from "./escape-text.ts";
export {
  type FetchedManifest,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  parseManifest,
} from "./fetched-manifest.ts";
export {
  type HistoryEntry,
  type ImageConfig,
  type ImageExecution,
  MAX_CONFIG_BYTES,
  parseImageConfig,
  type RootFS,
} from "./image-config.ts";
export { type ImageIndex, selectManifest } from "./image-index.ts";
export type { ImageManifest } from "./image-manifest.ts";
export { type JsonDocumentOptions, type JsonValue, parseJsonDocument } from "./json-document.ts";
export {
  isImageConfigMediaType,
  isImageIndexMediaType,
  isImageManifestMediaType,
  isLayerMediaType,
  MEDIA_TYPE,
} from "./media-type.ts";
export { createMemoryContentStore } from "./memory-content-store.ts";
export {
  acceptableVariants,
  formatPlatform,
  hostPlatform,
  parsePlatform,
  type Platform,
} from "./platform.ts";
export {
  asVerified,
  type ReadContentOptions,
  readContent,
  verifyContent,
} from "./verify-content.ts";
