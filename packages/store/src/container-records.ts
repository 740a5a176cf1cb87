/**
 * The files of the container records.
 *
 * @module
 */
import { join } from "node:path";

import { type ContainerRecord, isContainerID, parseContainerRecord } from "./container-record.ts";
import { readRecord, readRecords, type RecordList } from "./record-file.ts";
import type { StoreContext } from "./store-context.ts";
import { containerPath } from "./store-layout.ts";

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
  return await readRecord(path, (value) => {
    const record = parseContainerRecord(value);
    if (record.id !== entry) throw new TypeError("it is the record of another container");
    return record;
  });
}
