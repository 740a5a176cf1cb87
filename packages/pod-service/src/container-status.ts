import { type Digest, errorKind } from "@stowage/content";

import { getMember } from "./container.ts";
import { listMembers, type Member } from "./container-members.ts";
import { type ContainerState, containerStateOf, readContainerEvent } from "./container-state.ts";
import type { PodContext } from "./pod-context.ts";
import type { LocalImage, WaitOptions } from "./ports.ts";

/** What is known about a container. */
export interface ContainerStatus {
  readonly id: string;
  readonly podId: string;
  readonly podName: string;
  readonly names: readonly string[];
  readonly metadataName: string;
  /** What was asked for when it was made. */
  readonly imageName: string;
  /** `repository@digest`; absent where the image came from no registry, or there is none. */
  readonly imageRef?: string;
  readonly imageId?: Digest;
  readonly state: ContainerState;
  /** RFC 3339; since the machine booted. */
  readonly startedAt?: string;
  /** RFC 3339; since the machine booted. */
  readonly finishedAt?: string;
  readonly exitCode?: number;
  readonly attempt: number;
  /** Unix time in seconds. */
  readonly createdAt: number;
  /** Whether it only holds its pod's namespaces. */
  readonly infra: boolean;
  readonly privileged: boolean;
  readonly workDir: string;
  readonly runDir: string;
  /** Where its root is mounted now, as the kernel has it. */
  readonly mountPoint?: string;
}

/** @throws {@link PodError} as `getContainer` and `parseContainerMetadata` do. */
export async function containerStatus(
  context: PodContext,
  idOrName: string,
  options: WaitOptions,
): Promise<ContainerStatus> {
  return statusOf(context, await getMember(context, idOrName), options);
}

/** The status of every container of a pod, oldest first. */
export async function listContainers(
  context: PodContext,
  options: WaitOptions,
): Promise<readonly ContainerStatus[]> {
  const { members } = await listMembers(context);
  const statuses: ContainerStatus[] = [];
  for (const member of members) {
    options.signal?.throwIfAborted();
    statuses.push(await statusOf(context, member, options));
  }
  return statuses;
}

async function statusOf(
  context: PodContext,
  member: Member,
  options: WaitOptions,
): Promise<ContainerStatus> {
  const { record, metadata } = member;
  const { containers, mounts } = context.store;
  const runDir = containers.runDir(record.id);
  const mountPoint = await mounts.mountPointOf(record.id);
  const event = await readContainerEvent(runDir);
  const image = await findImageOf(context, member, options);
  const known = typeof event === "object" ? event : undefined;
  return {
    id: record.id,
    podId: metadata.podId,
    podName: metadata.podName,
    names: record.names,
    metadataName: metadata.metadataName,
    imageName: metadata.imageName,
    ...(image?.canonical && { imageRef: image.canonical }),
    ...(metadata.imageId && { imageId: metadata.imageId }),
    state: containerStateOf(event, mountPoint !== undefined),
    ...(known?.startedAt && { startedAt: known.startedAt }),
    ...(known?.finishedAt && { finishedAt: known.finishedAt }),
    ...(known?.exitCode !== undefined && { exitCode: known.exitCode }),
    attempt: metadata.attempt,
    createdAt: metadata.createdAt,
    infra: record.id === metadata.podId,
    privileged: metadata.privileged,
    workDir: containers.workDir(record.id),
    runDir,
    ...(mountPoint !== undefined && { mountPoint }),
  };
}

// The name that was asked for tells from which repository it came, but may have moved since.
async function findImageOf(
  context: PodContext,
  { metadata }: Member,
  { signal }: WaitOptions,
): Promise<LocalImage | undefined> {
  const { imageId, imageName } = metadata;
  if (imageId === "") return undefined;
  const named = imageName && (await findImage(context, imageName, { signal }));
  return named && named.id === imageId ? named : findImage(context, imageId, { signal });
}

async function findImage(
  context: PodContext,
  nameOrId: string,
  options: WaitOptions,
): Promise<LocalImage | undefined> {
  try {
    return await context.images.requireImage(nameOrId, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    // A status is wanted most when things are broken: what cannot be said is left out of it.
    if (errorKind(error) !== undefined) return undefined;
    throw error;
  }
}
