/**
 * Who may be trusted: the signature policy of containers tools.
 *
 * @packageDocumentation
 */
export { acceptedAuthors } from "./accepted-authors.ts";
export { checkPolicy, checkPolicyKeys, type CheckPolicyOptions } from "./check/check-policy.ts";
export type { PolicyProblem } from "./check/policy-problem.ts";
export {
  createPolicyEvaluator,
  type EvaluatePolicyOptions,
  type PolicyEvaluator,
  type PolicyEvaluatorOptions,
} from "./evaluate-policy.ts";
export { findSignatures, type FindSignaturesOptions } from "./signature/find-signatures.ts";
export { readSignatureFiles } from "./signature/signature-files.ts";
export { bypassWarning } from "./scope/describe-near-scope.ts";
export { formatVerdict } from "./format-verdict.ts";
export { createPolicyDocument, type PolicyDocumentOptions } from "./initial-policy.ts";
export { MAX_KEPT_BYTES, packSignatures, unpackSignatures } from "./signature/kept-signatures.ts";
export {
  type LoadedPolicy,
  loadPolicy,
  type LoadPolicyOptions,
  MAX_POLICY_BYTES,
  type PolicyNamespace,
  policyPaths,
  SYSTEM_POLICY_PATH,
} from "./load-policy.ts";
export { lookasideUrl, type UrlFetcher } from "./registries-d/lookaside.ts";
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
} from "./scope/policy-scope.ts";
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
export type {
  FoundSignatures,
  KeyFileReader,
  SignaturePlace,
  SignatureRegistry,
  SignatureSource,
} from "./ports.ts";
export { matchesIdentity } from "./requirement/reference-match.ts";
export {
  loadRegistriesD,
  type LoadRegistriesDOptions,
  type RegistriesD,
  type UnknownKey,
} from "./registries-d/registries-d.ts";
export type { SignatureSection } from "./registries-d/signature-section.ts";
export { type SignatureStorage, signatureStorageOf } from "./registries-d/signature-storage.ts";
export type { AnyOfRequirement, AuditRequirement } from "./requirement/requirement-combined.ts";
export type { InsecureAcceptAnythingRequirement } from "./requirement/requirement-insecure-accept-anything.ts";
export type { RejectRequirement } from "./requirement/requirement-reject.ts";
export type { SignedBaseLayerRequirement } from "./requirement/requirement-signed-base-layer.ts";
export type {
  SignedByKeys,
  SignedByKeyType,
  SignedByRequirement,
} from "./requirement/requirement-signed-by.ts";
export type {
  BundleIdentity,
  BundleRoot,
  BundleTrust,
  SigstoreBundleRequirement,
} from "./requirement/requirement-sigstore-bundle.ts";
export type {
  SigstoreFulcio,
  SigstorePki,
  SigstoreRekor,
  SigstoreSignedRequirement,
  SigstoreTrust,
} from "./requirement/requirement-sigstore-signed.ts";
export type { SignerKeys } from "./key/signer-keys.ts";
export { formatSignatureBlob, parseSignatureBlob } from "./signature/signature-blob.ts";
export {
  type BundleSignature,
  type ImageSignature,
  MAX_SIGNATURE_BYTES,
  MAX_SIGNATURES,
  MAX_SIGNATURES_BYTES,
  type SigstoreSignature,
  type SimpleSignature,
} from "./signature/signature.ts";
export type { SignatureFault } from "./signature/signature-rejection.ts";
export type { SignedIdentity } from "./requirement/signed-identity.ts";
export type { SimilarScope } from "./scope/similar-scope.ts";
export { findUnreachableScopes, type UnreachableScope } from "./scope/transport-scope.ts";
export type {
  ConsideredScope,
  PolicyVerdict,
  RequirementVerdict,
  SignatureVerdict,
} from "./verdict.ts";
export { writePolicy, type WritePolicyOptions } from "./write-policy.ts";
