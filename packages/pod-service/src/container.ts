/**
 * Containers of pods: made, started, stopped, deleted, and asked about.
 *
 * @module
 */
import { escapeText } from "@stowage/content";
import { asStoreError, type ContainerRecord } from "@stowage/store";

import { findContainerID, listMembers, type Member, metadataOf } from "./container-members.ts";
import {
  type ContainerMetadata,
  formatContainerMetadata,
  parseContainerMetadata,
} from "./container-metadata.ts";
import { readContainerEvent, writeContainerEvent } from "./container-state.ts";
import { createMember, type CreatedContainer, type PrepareContainer } from "./create-member.ts";
import { requireAttempt, requireID, requireName } from "./identifiers.ts";
import type { PodContext } from "./pod-context.ts";
import { PodError } from "./pod-error.ts";
import { getInfra } from "./pod-sandbox.ts";
import type { LocalImage, UseImageOptions, WaitOptions } from "./ports.ts";

/** A container to be made in a pod. */
export interface CreateContainerOptions extends WaitOptions {
  /** The pod: its ID, an unambiguous prefix of that, or its name. */
  readonly podId: string;
  readonly containerName: string;
  /** 64 hex digits; a random one unless told. */
  readonly containerId?: string | undefined;
  /** The name that the caller knows it by. The container's name unless told. */
  readonly metadataName?: string | undefined;
  /** Name or ID of an image that is here; kept as what was asked for. */
  readonly imageName?: string | undefined;
  /** Which image exactly, where `imageName` may have moved. One of the two must be given. */
  readonly imageId?: string | undefined;
  readonly attempt?: number | undefined;
  readonly mountLabel?: string | undefined;
  readonly privileged?: boolean | undefined;
  /**
   * Fills the work directory, durably, before the container is there; if it throws, there is none.
   */
  readonly prepare?: PrepareContainer | undefined;
}

/** How a container is started. */
export interface StartContainerOptions extends WaitOptions {
  /** Runs when the root is mounted; if it throws, this start's mount is given back. */
  readonly prepare?: ((started: StartedContainer) => Promise<void>) | undefined;
}

/** A container whose root file system is mounted. */
export interface StartedContainer {
  readonly id: string;
  readonly mountPoint: string;
  /** How many starts the mount now stands for. */
  readonly count: number;
  readonly workDir: string;
  readonly runDir: string;
}

/** How a container is stopped. */
export interface StopContainerOptions extends WaitOptions {
  /** What its process ended with, to be remembered until the machine boots again. */
  readonly exitCode?: number | undefined;
}

/** Makes a container from an image that is here. */
export async function createContainer(
  context: PodContext,
  options: CreateContainerOptions,
): Promise<CreatedContainer> {
  const { containerName, mountLabel, privileged = false, prepare } = options;
  if (options.podId === "") throw new PodError("ERR_POD_INVALID_POD_NAME", "the pod is empty");
  const asked = options.imageName || options.imageId;
  if (!asked) throw new PodError("ERR_POD_INVALID_IMAGE_NAME", "neither image name nor image ID");
  requireName(containerName, "ERR_POD_INVALID_CONTAINER_NAME");
  const id = requireID(options.containerId, "ERR_POD_INVALID_CONTAINER_ID");
  const attempt = requireAttempt(options.attempt);
  const { podName, podId, namespace } = (await getInfra(context, options.podId)).metadata;
  const image = await findImage(context, options.imageId || asked, {
    signal: options.signal,
    namespace,
  });
  const metadata: ContainerMetadata = {
    podName,
    podId,
    imageName: options.imageName || image.name,
    imageId: image.id,
    name: containerName,
    metadataName: options.metadataName || containerName,
    attempt,
    createdAt: Math.floor(Date.now() / 1000),
    ...(mountLabel && { mountLabel }),
    pod: false,
    privileged,
  };
  return createMember(
    context,
    {
      id,
      names: [containerName],
      image,
      metadata,
      prepare,
      // The pod may have been removed meanwhile, and its remover not have seen this container.
      check: async () => void (await getInfra(context, podId)),
    },
    options,
  );
}

/** Mounts a container's root file system; once more if it is mounted already. */
export async function startContainer(
  context: PodContext,
  idOrName: string,
  options: StartContainerOptions,
): Promise<StartedContainer> {
  const { signal, prepare } = options;
  const { containers, mounts } = context.store;
  const record = await getContainer(context, idOrName);
  const { id } = record;
  const { mountLabel } = parseContainerMetadata(record.metadata);
  if (record.imageId === undefined) {
    throw new PodError("ERR_POD_NO_ROOT_FILESYSTEM", `${id}: made without an image to mount`);
  }
  if (mountLabel && !mounts.supportsLabels) {
    throw new PodError("ERR_POD_LABEL_UNSUPPORTED", `${id}: this store mounts without labels`);
  }
  const runDir = await containers.ensureRunDir(id);
  const { mountPoint, count } = await mounts.mountContainer(id, { signal, mountLabel });
  const started = { id, mountPoint, count, workDir: containers.workDir(id), runDir };
  try {
    await prepare?.(started);
    signal?.throwIfAborted();
    await writeContainerEvent(runDir, { state: "running", startedAt: new Date().toISOString() });
  } catch (error) {
    await giveBackMount(context, id);
    // Its directories went, and so whatever was at work in them failed.
    if ((await findContainerID(context, id)) === undefined) throw notFound(id, error);
    throw asStoreError(error, `container ${id} can not be started`);
  }
  return started;
}

/** Unmounts a container, however often it was started. One that is not there is fine. */
export async function stopContainer(
  context: PodContext,
  idOrName: string,
  options: StopContainerOptions,
): Promise<void> {
  const { exitCode } = options;
  const { signal } = options;
  const id = await findContainerID(context, requireGiven(idOrName));
  if (id === undefined) return;
  const { containers, mounts } = context.store;
  signal?.throwIfAborted();
  await mounts.unmountContainer(id, { force: true, signal });
  const runDir = containers.runDir(id);
  const event = await readContainerEvent(runDir);
  if (event === undefined && exitCode === undefined) return;
  if (typeof event === "object" && event.state === "stopped" && exitCode === undefined) return;
  try {
    await containers.ensureRunDir(id);
    await writeContainerEvent(runDir, {
      state: "stopped",
      ...(typeof event === "object" && event.startedAt && { startedAt: event.startedAt }),
      finishedAt: new Date().toISOString(),
      ...(exitCode !== undefined && { exitCode }),
    });
  } catch (error) {
    // Who removed it meanwhile has ended it as well.
    if ((await findContainerID(context, id)) === undefined) return;
    throw asStoreError(error, `container ${id} is stopped, which can not be noted`);
  }
}

/**
 * Removes a container with its layer and directories. One that is not there is fine.
 *
 * @returns whether it was there.
 */
export async function deleteContainer(
  context: PodContext,
  idOrName: string,
  options: WaitOptions,
): Promise<boolean> {
  const { signal } = options;
  const id = await findContainerID(context, requireGiven(idOrName));
  if (id === undefined) return false;
  // Whether it is a pod's is not known of one whose record can not be read.
  await requireNoMembers(context, id);
  signal?.throwIfAborted();
  // One may be made in the pod before it goes; its maker does not find the pod when it has gone.
  await context.store.containers.remove(id, {
    signal,
    check: () => requireNoMembers(context, id),
  });
  return true;
}

/** What is remembered about a container. */
export async function getMetadata(
  context: PodContext,
  idOrName: string,
): Promise<ContainerMetadata> {
  return parseContainerMetadata((await getContainer(context, idOrName)).metadata);
}

/** Replaces what is remembered about a container. The last writer wins. */
export async function setMetadata(
  context: PodContext,
  idOrName: string,
  metadata: ContainerMetadata,
): Promise<void> {
  const record = await getContainer(context, idOrName);
  const before = metadataOf(record);
  // These are what the container is, and the record and its pod have them too.
  const kept = ["podName", "podId", "name", "pod", "imageId"] as const;
  const changed = before && kept.find((key) => before[key] !== metadata[key]);
  if (changed) {
    throw new PodError("ERR_POD_IMMUTABLE_METADATA", `${record.id}: ${changed} cannot be changed`);
  }
  await context.store.containers.setMetadata(record.id, formatContainerMetadata(metadata));
}

/** @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND`, or `ERR_POD_INVALID_CONTAINER_ID` for `""` */
export async function getContainer(
  context: PodContext,
  idOrName: string,
): Promise<ContainerRecord> {
  const record = await findContainer(context, idOrName);
  if (record !== undefined) return record;
  throw notFound(idOrName);
}

function notFound(idOrName: string, cause?: unknown): PodError {
  const message = `${escapeText(idOrName)}: no container has this ID, name or ID prefix`;
  return new PodError("ERR_POD_CONTAINER_NOT_FOUND", message, { cause });
}

/** A container of a pod, of which the metadata was read. */
export async function getMember(context: PodContext, idOrName: string): Promise<Member> {
  const record = await getContainer(context, idOrName);
  return { record, metadata: parseContainerMetadata(record.metadata) };
}

async function findContainer(
  context: PodContext,
  idOrName: string,
): Promise<ContainerRecord | undefined> {
  return context.store.containers.find(requireGiven(idOrName));
}

function requireGiven(idOrName: string): string {
  if (idOrName !== "") return idOrName;
  throw new PodError("ERR_POD_INVALID_CONTAINER_ID", "the container's ID or name is empty");
}

async function findImage(
  context: PodContext,
  nameOrId: string,
  options: UseImageOptions,
): Promise<LocalImage> {
  const image = await context.images.requireImage(nameOrId, { signal: options.signal });
  await context.images.requireAllowed(image, options);
  return image;
}

async function requireNoMembers(context: PodContext, podId: string): Promise<void> {
  const { members } = await listMembers(context);
  const others = members.filter(({ metadata, record }) => {
    return metadata.podId === podId && record.id !== podId;
  });
  // Whoever removes the pod may be at those others.
  if (others.length === 0 || (await findContainerID(context, podId)) === undefined) return;
  const names = others.map((member) => member.metadata.name).join(", ");
  throw new PodError("ERR_POD_NOT_EMPTY", `${podId}: its pod still has ${escapeText(names)}`, {
    hint: "remove the pod, or its other containers first",
  });
}

async function giveBackMount(context: PodContext, id: string): Promise<void> {
  try {
    await context.store.mounts.unmountContainer(id, {});
  } catch (cause) {
    context.onWarning(`${id}: still mounted after a start that failed`, cause);
  }
}
