import { hasErrorCode } from "@stowage/content";
import type { ContainerRecord } from "@stowage/store";

import {
  belongsToPod,
  type ContainerMetadata,
  parseContainerMetadata,
} from "./container-metadata.ts";
import type { PodContext } from "./pod-context.ts";

/** A container of some pod: its record, and what that remembers. */
export interface Member {
  readonly record: ContainerRecord;
  readonly metadata: ContainerMetadata;
}

/** Every container of the store, told apart by what its metadata says. */
export interface MemberListing {
  /** Containers of pods, oldest first. */
  readonly members: readonly Member[];
  /** Containers of other programs: their metadata has no pod. */
  readonly foreign: readonly ContainerRecord[];
  /** Containers whose metadata cannot be read. */
  readonly unreadable: readonly ContainerRecord[];
  /** Records that the store itself cannot read. */
  readonly damaged: readonly Error[];
}

/** Reads all records. One that is bad hides itself only. */
export async function listMembers(context: PodContext): Promise<MemberListing> {
  const { containers, damaged } = await context.store.containers.list();
  const members: Member[] = [];
  const foreign: ContainerRecord[] = [];
  const unreadable: ContainerRecord[] = [];
  for (const record of containers.toSorted(byAge)) {
    const metadata = metadataOf(record);
    if (metadata === undefined) unreadable.push(record);
    else if (belongsToPod(metadata)) members.push({ record, metadata });
    else foreign.push(record);
  }
  return { members, foreign, unreadable, damaged };
}

/**
 * The ID of a container that is here. A whole ID is found also where the record can not be read: it
 * can be stopped and removed all the same.
 */
export async function findContainerID(
  context: PodContext,
  idOrName: string,
): Promise<string | undefined> {
  try {
    return (await context.store.containers.find(idOrName))?.id;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return idOrName;
    throw error;
  }
}

/** The metadata of `record`; `undefined` if it cannot be read. */
export function metadataOf(record: ContainerRecord): ContainerMetadata | undefined {
  try {
    return parseContainerMetadata(record.metadata);
  } catch {
    return undefined;
  }
}

function byAge(a: ContainerRecord, b: ContainerRecord): number {
  if (a.created === b.created) return a.id < b.id ? -1 : 1;
  return a.created < b.created ? -1 : 1;
}
