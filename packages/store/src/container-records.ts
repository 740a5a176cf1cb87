/**
 * The files of the container records.
 *
 * @module
 */
import { join } from "node:path";

import { escapeText } from "@stowage/content";

import { type ContainerRecord, isContainerID, parseContainerRecord } from "./container-record.ts";
import { readRecord, readRecords, type RecordList } from "./record-file.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";
import { containerPath } from "./store-layout.ts";

const HINT =
  "Remove the container by its whole ID, or stop it by that and let fsck --repair put its files aside.";

/** All containers of a store, the oldest first. */
export async function listContainers(context: StoreContext): Promise<RecordList<ContainerRecord>> {
  const { records, damaged } = await readRecords(
    context.layout.containers,
    (entry) => (isContainerID(entry) ? join(entry, "container.json") : undefined),
    readContainer,
  );
  const byAge = records.toSorted((one, other) => (one.created > other.created ? 1 : -1));
  return { records: byAge, damaged };
}

/** @throws {@link StoreError} `ERR_STORE_CORRUPT` */
export async function readContainerOf(
  context: StoreContext,
  id: string,
): Promise<ContainerRecord | undefined> {
  return await readContainer(join(containerPath(context.layout, id), "container.json"), id);
}

async function readContainer(path: string, entry: string): Promise<ContainerRecord | undefined> {
  try {
    return await readRecord(path, (value) => {
      const record = parseContainerRecord(value);
      if (record.id !== entry) throw new TypeError("it is the record of another container");
      return record;
    });
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "ERR_STORE_CORRUPT") throw error;
    throw new StoreError(error.code, error.message, { cause: error.cause, hint: HINT });
  }
}

/** For a container that is not there. */
export function noContainer(nameOrId: string): StoreError {
  const message = `no container ${escapeText(nameOrId, 80)}`;
  return new StoreError("ERR_STORE_CONTAINER_NOT_FOUND", message);
}
