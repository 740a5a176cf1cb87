/**
 * Pods. A pod is its set of containers and has no record of its own: its infra container, whose ID
 * is the pod's, carries what belongs to the pod.
 *
 * @module
 */
import { escapeText, hasErrorCode } from "@stowage/content";
import type { ContainerRecord } from "@stowage/store";

import { belongsToPod } from "./container-metadata.ts";
import { findContainerID, type Member, listMembers, metadataOf } from "./container-members.ts";
import { createMember, type CreatedContainer, type PrepareContainer } from "./create-member.ts";
import { requireAttempt, requireID, requireName } from "./identifiers.ts";
import type { PodContext } from "./pod-context.ts";
import { PodError } from "./pod-error.ts";
import type { LocalImage, UseImageOptions, WaitOptions } from "./ports.ts";

/** A pod to be made. */
export interface CreatePodSandboxOptions extends WaitOptions {
  readonly podName: string;
  /** 64 hex digits; a random one unless told. */
  readonly podId?: string | undefined;
  /** The infra container's name. `<podName>-infra` unless told. */
  readonly containerName?: string | undefined;
  /** The name that the caller knows the pod by. The container's name unless told. */
  readonly metadataName?: string | undefined;
  readonly uid?: string | undefined;
  readonly namespace?: string | undefined;
  readonly attempt?: number | undefined;
  /**
   * The image of the infra container; `null` for none, even where the service has a pause image.
   *
   * @defaultValue the service's pause image; without one, no image
   */
  readonly imageName?: string | null | undefined;
  readonly mountLabel?: string | undefined;
  readonly privileged?: boolean | undefined;
  /** As `CreateContainerOptions` has it. */
  readonly prepare?: PrepareContainer | undefined;
}

/** A pod, as its containers tell it. */
export interface PodStatus {
  readonly id: string;
  readonly name: string;
  /** The infra container's names: its own, and the pod's. */
  readonly names: readonly string[];
  readonly metadataName: string;
  readonly uid?: string;
  readonly namespace?: string;
  readonly attempt: number;
  /** Unix time in seconds. */
  readonly createdAt: number;
  readonly privileged: boolean;
  /** All of them, the infra container first. */
  readonly containerIds: readonly string[];
}

/** {@link createMember} for an infra container. */
export async function createPodSandbox(
  context: PodContext,
  options: CreatePodSandboxOptions,
): Promise<CreatedContainer> {
  const { podName, uid, namespace, mountLabel, privileged = false } = options;
  requireName(podName, "ERR_POD_INVALID_POD_NAME");
  const id = requireID(options.podId, "ERR_POD_INVALID_POD_NAME");
  const name = requireName(
    options.containerName ?? `${podName}-infra`,
    "ERR_POD_INVALID_CONTAINER_NAME",
  );
  if (name === podName) {
    throw new PodError("ERR_POD_INVALID_CONTAINER_NAME", `${name}: the pod has this name already`);
  }
  const attempt = requireAttempt(options.attempt);
  const imageName = options.imageName === undefined ? context.pauseImage : options.imageName;
  const image = await findInfraImage(context, imageName ?? undefined, options);
  return createMember(
    context,
    {
      id,
      names: [name, podName],
      image,
      metadata: {
        podName,
        podId: id,
        imageName: imageName ?? "",
        imageId: image?.id ?? "",
        name,
        metadataName: options.metadataName || name,
        ...(uid && { uid }),
        ...(namespace && { namespace }),
        attempt,
        createdAt: Math.floor(Date.now() / 1000),
        ...(mountLabel && { mountLabel }),
        pod: true,
        privileged,
      },
      prepare: options.prepare,
    },
    options,
  );
}

/**
 * The pod that `idOrName` names: by its ID or a prefix, its name, or that of its infra container.
 *
 * @throws {@link PodError} as {@link getInfra} does
 */
export async function getPod(context: PodContext, idOrName: string): Promise<PodStatus> {
  const infra = await getInfra(context, idOrName);
  const { members } = await listMembers(context);
  return podOf(
    infra,
    members.filter((member) => member.metadata.podId === infra.record.id),
  );
}

/**
 * The infra container of a pod.
 *
 * @throws {@link PodError} `ERR_POD_INVALID_POD_NAME` for an empty name; `ERR_POD_SANDBOX_NOT_FOUND`
 */
export async function getInfra(context: PodContext, idOrName: string): Promise<Member> {
  requireGiven(idOrName);
  const infra = await findInfra(context, idOrName);
  if (infra !== undefined) return infra;
  throw new PodError("ERR_POD_SANDBOX_NOT_FOUND", `${escapeText(idOrName)}: no such pod`);
}

/** All pods, oldest first. Containers of no pod are passed over. */
export async function listPods(context: PodContext): Promise<readonly PodStatus[]> {
  const { members } = await listMembers(context);
  const byPod = Map.groupBy(members, (member) => member.metadata.podId);
  return members
    .filter((member) => member.record.id === member.metadata.podId)
    .map((infra) => podOf(infra, byPod.get(infra.record.id) ?? []));
}

/**
 * Removes a pod: its members, then its infra container. A pod that is not there is fine.
 *
 * @returns the IDs of the containers that were removed.
 */
export async function removePod(
  context: PodContext,
  idOrName: string,
  options: WaitOptions,
): Promise<readonly string[]> {
  requireGiven(idOrName);
  const podId = await findPodID(context, idOrName);
  return podId === undefined ? [] : removeAllOf(context, podId, options);
}

/** Removes every container of pod `podId`, members first. */
export async function removeAllOf(
  context: PodContext,
  podId: string,
  options: WaitOptions,
): Promise<readonly string[]> {
  const removed: string[] = [];
  const { containers } = context.store;
  const removeMembers = async (): Promise<void> => {
    const { members } = await listMembers(context);
    for (const { record, metadata } of members) {
      if (metadata.podId !== podId || record.id === podId) continue;
      options.signal?.throwIfAborted();
      await containers.remove(record.id, { signal: options.signal });
      removed.push(record.id);
    }
  };
  await removeMembers();
  // Exactly the pod's: what a damaged container claims as its pod may be a prefix of another's ID.
  if ((await findContainerID(context, podId)) === podId) {
    await containers.remove(podId, { signal: options.signal });
    removed.push(podId);
  }
  // One that was being made while its pod went: its maker looks for the pod again, but may have died.
  await removeMembers();
  return removed;
}

function requireGiven(idOrName: string): void {
  if (idOrName !== "") return;
  throw new PodError("ERR_POD_INVALID_POD_NAME", "the pod's name or ID is empty");
}

async function findInfra(context: PodContext, idOrName: string): Promise<Member | undefined> {
  const record: ContainerRecord | undefined = await context.store.containers.find(idOrName);
  if (record === undefined) return undefined;
  const metadata = metadataOf(record);
  return metadata !== undefined && belongsToPod(metadata) && metadata.podId === record.id
    ? { record, metadata }
    : undefined;
}

/** Of an infra container that can not be read, its members tell that it is one. */
async function findPodID(context: PodContext, idOrName: string): Promise<string | undefined> {
  try {
    return (await findInfra(context, idOrName))?.record.id;
  } catch (error) {
    if (!hasErrorCode(error, "ERR_STORE_CORRUPT")) throw error;
    const { members } = await listMembers(context);
    if (members.some(({ metadata }) => metadata.podId === idOrName)) return idOrName;
    throw error;
  }
}

async function findInfraImage(
  context: PodContext,
  name: string | undefined,
  options: UseImageOptions,
): Promise<LocalImage | undefined> {
  if (name === undefined) return undefined;
  if (name === "") throw new PodError("ERR_POD_INVALID_IMAGE_NAME", "the image's name is empty");
  const how = { signal: options.signal, namespace: options.namespace || undefined };
  const image = await context.images.ensureImage(name, how);
  await context.images.requireAllowed(image, how);
  return image;
}

function podOf(infra: Member, members: readonly Member[]): PodStatus {
  const { record, metadata } = infra;
  const others = members.map((member) => member.record.id).filter((id) => id !== record.id);
  return {
    id: record.id,
    name: metadata.podName,
    names: record.names,
    metadataName: metadata.metadataName,
    ...(metadata.uid && { uid: metadata.uid }),
    ...(metadata.namespace && { namespace: metadata.namespace }),
    attempt: metadata.attempt,
    createdAt: metadata.createdAt,
    privileged: metadata.privileged,
    containerIds: [record.id, ...others],
  };
}
