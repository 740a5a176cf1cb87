/**
 * Who may be trusted: the signature policy of containers tools.
 *
 * @packageDocumentation
 */
export { acceptedAuthors } from "./accepted-authors.ts";
export {
  checkPolicy,
  checkPolicyKeys,
  type CheckPolicyOptions,
  type PolicyProblem,
} from "./check-policy.ts";
export {
  createPolicyEvaluator,
  type EvaluatePolicyOptions,
  type PolicyEvaluator,
  type PolicyEvaluatorOptions,
} from "./evaluate-policy.ts";
export {
  findSignatures,
  type FindSignaturesOptions,
  type SignatureRegistry,
} from "./find-signatures.ts";
export { readSignatureFiles } from "./signature-files.ts";
export { bypassWarning } from "./describe-near-scope.ts";
export { formatVerdict } from "./format-verdict.ts";
export { createPolicyDocument, type PolicyDocumentOptions } from "./initial-policy.ts";
export { MAX_KEPT_BYTES, packSignatures, unpackSignatures } from "./kept-signatures.ts";
export {
  type LoadedPolicy,
  loadPolicy,
  type LoadPolicyOptions,
  MAX_POLICY_BYTES,
  type PolicyNamespace,
  policyPaths,
  SYSTEM_POLICY_PATH,
} from "./load-policy.ts";
export { lookasideUrl, type UrlFetcher } from "./lookaside.ts";
export { PolicyError, type PolicyErrorCode, type PolicyErrorOptions } from "./policy-error.ts";
export {
  type ChosenRequirements,
  chooseRequirements,
  directoryScopes,
  dockerScopes,
  type ImageScopes,
  ociLayoutScopes,
  type PolicyScope,
  scopesOf,
} from "./policy-scope.ts";
export type {
  ArchiveSubject,
  DaemonSubject,
  DockerSubject,
  PathSubject,
  PolicySubject,
  StorageSubject,
} from "./policy-subject.ts";
export {
  parsePolicy,
  type ParsePolicyOptions,
  type Policy,
  type PolicyRequirement,
  type PolicyScopes,
} from "./policy.ts";
export type { FoundSignatures, KeyFileReader, SignaturePlace, SignatureSource } from "./ports.ts";
export { matchesIdentity } from "./reference-match.ts";
export {
  loadRegistriesD,
  type LoadRegistriesDOptions,
  type RegistriesD,
  type SignatureSection,
  type UnknownKey,
} from "./registries-d.ts";
export { type SignatureStorage, signatureStorageOf } from "./signature-storage.ts";
export type { AnyOfRequirement, AuditRequirement } from "./requirement-combined.ts";
export type { InsecureAcceptAnythingRequirement } from "./requirement-insecure-accept-anything.ts";
export type { RejectRequirement } from "./requirement-reject.ts";
export type { SignedBaseLayerRequirement } from "./requirement-signed-base-layer.ts";
export type {
  SignedByKeys,
  SignedByKeyType,
  SignedByRequirement,
} from "./requirement-signed-by.ts";
export type {
  BundleIdentity,
  BundleRoot,
  BundleTrust,
  SigstoreBundleRequirement,
} from "./requirement-sigstore-bundle.ts";
export type {
  SigstoreFulcio,
  SigstorePki,
  SigstoreRekor,
  SigstoreSignedRequirement,
  SigstoreTrust,
} from "./requirement-sigstore-signed.ts";
export type { SignerKeys } from "./signer-keys.ts";
export { formatSignatureBlob, parseSignatureBlob } from "./signature-blob.ts";
export {
  type BundleSignature,
  type ImageSignature,
  MAX_SIGNATURE_BYTES,
  MAX_SIGNATURES,
  MAX_SIGNATURES_BYTES,
  type SigstoreSignature,
  type SimpleSignature,
} from "./signature.ts";
export type { SignatureFault } from "./signature-rejection.ts";
export type { SignedIdentity } from "./signed-identity.ts";
export type { SimilarScope } from "./similar-scope.ts";
export { findUnreachableScopes, type UnreachableScope } from "./transport-scope.ts";
export type {
  ConsideredScope,
  PolicyVerdict,
  RequirementVerdict,
  SignatureVerdict,
} from "./verdict.ts";
export { writePolicy, type WritePolicyOptions } from "./write-policy.ts";
