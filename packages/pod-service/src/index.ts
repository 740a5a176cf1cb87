/**
 * Pods, containers, and what is remembered about them, over the records of a store.
 *
 * @packageDocumentation
 */
export type {
  CreateContainerOptions,
  StartContainerOptions,
  StartedContainer,
  StopContainerOptions,
} from "./container.ts";
export {
  belongsToPod,
  type ContainerMetadata,
  formatContainerMetadata,
  parseContainerMetadata,
} from "./container-metadata.ts";
export type { ContainerState } from "./container-state.ts";
export type { ContainerStatus } from "./container-status.ts";
export type { CreatedContainer, PrepareContainer } from "./create-member.ts";
export { PodError, type PodErrorCode } from "./pod-error.ts";
export {
  containerNameOf,
  createNameRegistrar,
  infraContainerNameOf,
  type NameRegistrar,
  type PodIdentity,
  podNameOf,
} from "./pod-names.ts";
export type { CreatePodSandboxOptions, PodStatus } from "./pod-sandbox.ts";
export { createPodService, type PodService, type PodServiceOptions } from "./pod-service.ts";
export type {
  ImageLookup,
  LocalImage,
  PodMounts,
  PodStore,
  UseImageOptions,
  WaitOptions,
} from "./ports.ts";
export type { RestoredPods } from "./restore-pods.ts";
