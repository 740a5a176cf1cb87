import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode, type JsonValue } from "@stowage/content";

import { mountNamespace } from "./mount-users.ts";
import { randomName } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import { tryRemoveFile } from "./remove-file.ts";

/** What is remembered about a mount, as long as the kernel agrees. */
export interface MountRecord {
  readonly version: 1;
  readonly count: number;
  /** The kernel's number for it. */
  readonly mountId: number;
  /** Which mount namespace it is in. */
  readonly namespace: string;
  /** The ID map that it shows its files by, as text; none where they show their own. */
  readonly owners?: string;
  /** Tells it from those before a reboot. */
  readonly bootId: string;
}

/** The record in the directory of a mount; one that can not be believed is none. */
export async function readMountRecord(directory: string): Promise<MountRecord | undefined> {
  try {
    const record = await readRecord(join(directory, "mount.json"), parseMountRecord);
    return record?.bootId === bootId() ? record : undefined;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

/** Writes a record. It need not outlive a power cut, since the mount does not. */
export async function writeMountRecord(
  directory: string,
  mount: { count: number; mountId: number; owners?: string | undefined },
): Promise<void> {
  const { count, mountId, owners } = mount;
  const record: MountRecord = {
    version: 1,
    count,
    mountId,
    namespace: mountNamespace(),
    ...(owners !== undefined && { owners }),
    bootId: bootId(),
  };
  const temporary = join(directory, `.${randomName()}`);
  try {
    await writeFile(temporary, formatRecord(record), { mode: 0o600 });
    await rename(temporary, join(directory, "mount.json"));
  } catch (error) {
    tryRemoveFile(temporary);
    throw error;
  }
}

function parseMountRecord(value: JsonValue): MountRecord {
  const fields = ["version", "count", "mountId", "namespace", "owners", "bootId"];
  const shape = new RecordShape(value, "mount", fields);
  shape.version(1);
  return {
    version: 1,
    count: shape.count("count"),
    mountId: shape.count("mountId"),
    namespace: shape.string("namespace"),
    ...(shape.has("owners") && { owners: shape.string("owners") }),
    bootId: shape.string("bootId"),
  };
}

/** What the kernel calls the time since the last reboot. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
