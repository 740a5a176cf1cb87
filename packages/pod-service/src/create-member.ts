/**
 * Writes a container's record so that a creation which fails or ends half-way leaves nothing.
 *
 * @module
 */
import { hasErrorCode } from "@stowage/content";
import type { ContainerRecord } from "@stowage/store";

import { type ContainerMetadata, formatContainerMetadata } from "./container-metadata.ts";
import type { PodContext } from "./pod-context.ts";
import { PodError } from "./pod-error.ts";
import type { LocalImage, WaitOptions } from "./ports.ts";

/** A container that was just made. */
export interface CreatedContainer {
  readonly id: string;
  readonly podId: string;
  readonly podName: string;
  readonly names: readonly string[];
  /** Lives as long as the container. */
  readonly workDir: string;
  /** Emptied by a reboot. */
  readonly runDir: string;
  /** What it was made from; absent for an infra container without an image. */
  readonly image?: LocalImage;
}

/** A container before it is there: its work directory is elsewhere until then. */
export type PrepareContainer = (container: Omit<CreatedContainer, "runDir">) => Promise<void>;

/** What {@link createMember} writes. */
export interface MemberInit {
  readonly id: string;
  readonly names: readonly string[];
  readonly image: LocalImage | undefined;
  readonly metadata: ContainerMetadata;
  /** As `CreateContainerOptions` has it. */
  readonly prepare?: PrepareContainer | undefined;
  /** Runs when the record is there; if it throws, the container is removed again. */
  readonly check?: (() => Promise<void>) | undefined;
}

/**
 * Makes the record and the directories of a container.
 *
 * @throws {@link PodError} `ERR_POD_DUPLICATE_NAME` or `ERR_POD_DUPLICATE_ID`; what is there stays.
 */
export async function createMember(
  context: PodContext,
  init: MemberInit,
  options: WaitOptions,
): Promise<CreatedContainer> {
  const { containers } = context.store;
  options.signal?.throwIfAborted();
  const { id, names } = await createRecord(context, init);
  try {
    await containers.ensureRunDir(id);
    await init.check?.();
    options.signal?.throwIfAborted();
  } catch (error) {
    await removeHalfMade(context, id);
    throw error;
  }
  const workDir = containers.workDir(id);
  return { ...describeMember(init, names), workDir, runDir: containers.runDir(id) };
}

function describeMember(
  { id, image, metadata }: MemberInit,
  names: readonly string[],
): Omit<CreatedContainer, "runDir" | "workDir"> {
  const { podId, podName } = metadata;
  return { id, podId, podName, names, ...(image && { image }) };
}

async function createRecord(context: PodContext, init: MemberInit): Promise<ContainerRecord> {
  const { id, names, image, metadata, prepare } = init;
  try {
    return await context.store.containers.create({
      id,
      names,
      ...(image && { imageId: image.id }),
      ...(image?.topLayer && { topLayer: image.topLayer }),
      metadata: formatContainerMetadata(metadata),
      ...(prepare && {
        prepare: (workDir) => prepare({ ...describeMember(init, names), workDir }),
      }),
    });
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_STORE_DUPLICATE_NAME")) {
      throw new PodError("ERR_POD_DUPLICATE_NAME", cause.message, { cause });
    }
    if (hasErrorCode(cause, "ERR_STORE_DUPLICATE_ID")) {
      throw new PodError("ERR_POD_DUPLICATE_ID", cause.message, { cause });
    }
    throw cause;
  }
}

// What made the creation fail matters more to the caller than why its remains are still there.
async function removeHalfMade(context: PodContext, id: string): Promise<void> {
  try {
    await context.store.containers.remove(id);
  } catch (cause) {
    context.onWarning(`${id}: a half-made container could not be removed`, cause);
  }
}
