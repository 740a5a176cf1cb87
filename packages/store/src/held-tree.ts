/**
 * Trees that were put aside while something has them mounted: they stay until that is unmounted.
 *
 * @module
 */
import { join } from "node:path";

import { hasErrorCode, type JsonValue } from "@stowage/content";

import { mountIdAt } from "./linux/mount-table.ts";
import { bootId } from "./mount-record.ts";
import { findMountElsewhere, mountNamespace } from "./mount-users.ts";
import { writeSyncedFile } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";

/** A mount that uses a tree. */
export interface HoldingMount {
  readonly mountPoint: string;
  /** What the kernel calls the mount namespace that it is in. */
  readonly namespace: string;
}

const FILE = "held-by.json";

/** Writes down, in a directory that is about to be put aside, who goes on using it. */
export async function holdTree(directory: string, mounts: readonly HoldingMount[]): Promise<void> {
  const record = { version: 1, bootId: bootId(), mounts };
  await writeSyncedFile(join(directory, FILE), formatRecord(record));
}

/** Whether a directory that was put aside is still mounted somewhere. */
export async function isTreeHeld(directory: string): Promise<boolean> {
  try {
    const held = await readRecord(join(directory, FILE), parseHeld);
    return held !== undefined && held.bootId === bootId() && held.mounts.some(isMounted);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return false;
    if (hasErrorCode(error, "ERR_STORE_IO", "ENOTDIR")) return false;
    throw error;
  }
}

/** Whether there is such a mount, here or in the mount namespace that it was made in. */
export function isMounted({ mountPoint, namespace }: HoldingMount): boolean {
  if (mountIdAt(mountPoint) !== undefined) return true;
  return namespace !== mountNamespace() && findMountElsewhere(namespace, mountPoint) !== undefined;
}

function parseHeld(value: JsonValue): {
  readonly bootId: string;
  readonly mounts: readonly HoldingMount[];
} {
  const shape = new RecordShape(value, "held", ["version", "bootId", "mounts"]);
  shape.version(1);
  const mounts = shape.list("mounts").map((item, index) => {
    const mount = new RecordShape(item, `held.mounts[${index}]`, ["mountPoint", "namespace"]);
    return { mountPoint: mount.string("mountPoint"), namespace: mount.string("namespace") };
  });
  return { bootId: shape.string("bootId"), mounts };
}
