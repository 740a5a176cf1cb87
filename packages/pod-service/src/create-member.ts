/**
 * Writes a container's record so that a creation which fails half-way leaves nothing.
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

/** What {@link createMember} writes. */
export interface MemberInit {
  readonly id: string;
  readonly names: readonly string[];
  readonly image: LocalImage | undefined;
  readonly metadata: ContainerMetadata;
  /** Runs when the record is there; if it throws, the container is removed again. */
  readonly finish?: ((created: CreatedContainer) => Promise<void>) | undefined;
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
  const { image, metadata } = init;
  options.signal?.throwIfAborted();
  const record = await createRecord(context, init);
  const created: CreatedContainer = {
    id: record.id,
    podId: metadata.podId,
    podName: metadata.podName,
    names: record.names,
    workDir: containers.workDir(record.id),
    runDir: containers.runDir(record.id),
    ...(image && { image }),
  };
  try {
    await containers.ensureRunDir(record.id);
    await init.finish?.(created);
    options.signal?.throwIfAborted();
  } catch (error) {
    await removeHalfMade(context, record.id);
    throw error;
  }
  return created;
}

async function createRecord(context: PodContext, init: MemberInit): Promise<ContainerRecord> {
  const { id, names, image, metadata } = init;
  try {
    return await context.store.containers.create({
      id,
      names,
      ...(image && { imageId: image.id }),
      ...(image?.topLayer && { topLayer: image.topLayer }),
      metadata: formatContainerMetadata(metadata),
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
