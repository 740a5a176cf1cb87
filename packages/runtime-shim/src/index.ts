/**
 * All of Stowage composed: images pulled, checked and kept; containers mounted, configured and run.
 *
 * @packageDocumentation
 */
export {
  copyBetween,
  type CopyBetweenOptions,
  type CopyBetweenProgress,
  type CopyResult,
} from "./copy/copy-between.ts";
export {
  type CopyLocation,
  formatCopyLocation,
  isCopyLocation,
  parseCopyLocation,
} from "./copy/copy-location.ts";
export type { PodmanImageName, PodmanLocation, PodmanStorePlace } from "./copy/podman-location.ts";
export {
  type OciRuntime,
  explain,
  findOciRuntime,
  type FindOciRuntimeOptions,
  type FoundRuntime,
  type UnusableRuntime,
} from "./run-config/oci-runtime.ts";
export {
  createOciConfig,
  type OciConfig,
  type OciLinux,
  type OciMount,
  type OciProcess,
  type OciUser,
  type RunOptions,
  USER_ANNOTATION,
} from "./run-config/oci-config.ts";
export type { ProcessOptions } from "./run-config/oci-process.ts";
export { resolveUser } from "./run-config/container-user.ts";
export { type BundleRun, runBundle, type RunBundleOptions } from "./run-config/run-bundle.ts";
export { type BundleInit, CONFIG_FILE, writeBundle, writeTemplate } from "./run-config/template.ts";
export type {
  CreateRunnableOptions,
  RunContainerOptions,
  StartedBundle,
} from "./run-config/run-container.ts";
export { RuntimeError, type RuntimeErrorCode, runFailureExitCode } from "./runtime-error.ts";
export { createRuntime, type Runtime } from "./runtime.ts";
export { listTags, type ListTagsOptions } from "./copy/list-tags.ts";
export { syncRepositories, type SyncRepositoriesOptions } from "./copy/sync-repositories.ts";
export { serveStore, type ServeStoreOptions } from "./serve/serve-store.ts";
export { createBandwidthLimit } from "./open-registry-client.ts";
export { logInToRegistry, logOutOfRegistry, type RegistryLoginOptions } from "./registry-login.ts";
export type {
  ChooseShortName,
  RegistryAccess,
  RegistrySettings,
  RuntimeOptions,
} from "./runtime-options.ts";
export {
  type CheckedPolicy,
  checkPolicyFile,
  type CheckPolicyFileOptions,
  type ExplainPolicyOptions,
} from "./wire-policy-explain.ts";

// What a front end needs of the packages below, so that it depends on this one alone.
export type { ImageStatus, PullProgress } from "@stowage/image-service";
export {
  createPolicyDocument,
  formatVerdict,
  loadPolicy,
  policyPaths,
  type PolicyProblem,
  type PolicyVerdict,
  writePolicy,
} from "@stowage/policy";
export type { CheckReport, CollectReport, Damage } from "@stowage/store";
export type { ContainerStatus, PodStatus } from "@stowage/pod-service";
export type {
  BandwidthLimit,
  CopyProgress,
  RateLimitPolicy,
  RegistryEvent,
  RequestRate,
  SyncedTag,
  TransferEvent,
} from "@stowage/registry";
