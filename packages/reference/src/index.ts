/**
 * Names of images: parse, normalise and compare them as containers tools do.
 *
 * @packageDocumentation
 */
export { formatDockerTransport, scopeIdentity, scopeNamespaces } from "./docker-scope.ts";
export {
  DEFAULT_HOST,
  DEFAULT_TAG,
  familiarReference,
  familiarRepository,
  registryEndpointHost,
} from "./familiar-name.ts";
export { InvalidReferenceError, type ReferenceErrorCode } from "./invalid-reference-error.ts";
export { matchFamiliar } from "./match-familiar.ts";
export { parseRawReference, type RawReference } from "./raw-reference.ts";
export {
  type AnyReference,
  formatReference,
  isNameOnly,
  isSameReference,
  parseAnyReference,
  parseCanonicalReference,
  parseDockerReference,
  parseReference,
  type Reference,
  repositoryOnly,
  withDefaultTag,
  withDigest,
  withoutTagIfDigested,
  withTag,
} from "./reference.ts";
export {
  formatRepository,
  parseRegistryHost,
  parseRepository,
  type RegistryHost,
  type Repository,
  type RepositoryPath,
} from "./repository.ts";
export { isShortName } from "./short-name.ts";
export { parseTag, type Tag } from "./tag.ts";
export { redactCredentials, typedCredentials } from "./typed-credentials.ts";
