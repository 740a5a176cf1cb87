/**
 * Where mounts are, and which there are.
 *
 * @module
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, encodedOf } from "@stowage/content";

import { type HoldingMount, isMounted } from "./held-tree.ts";
import { readMountRecord } from "./mount-record.ts";
import { mountNamespace } from "./mount-users.ts";
import type { StoreLayout } from "./store-layout.ts";

/** What mounts go by: the ID of a container, or the hex digits of an image's. */
export const MOUNT_ID: RegExp = /^[0-9a-f]{64}$/;

/** Whether an image is mounted, here or in the mount namespace where it was mounted last. */
export async function isImageMounted(layout: StoreLayout, id: Digest): Promise<boolean> {
  return (await findMount(layout, encodedOf(id))) !== undefined;
}

/** All that is mounted, by container IDs and the hex digits of images, in any mount namespace. */
export async function findMounts(layout: StoreLayout): Promise<ReadonlyMap<string, HoldingMount>> {
  const found = new Map<string, HoldingMount>();
  for (const id of (await readdir(layout.runMounts)).filter((name) => MOUNT_ID.test(name))) {
    const mount = await findMount(layout, id);
    if (mount !== undefined) found.set(id, mount);
  }
  return found;
}

async function findMount(layout: StoreLayout, id: string): Promise<HoldingMount | undefined> {
  const mountPoint = mountPointPath(layout, id);
  const here = { mountPoint, namespace: mountNamespace() };
  if (isMounted(here)) return here;
  const record = await readMountRecord(mountDirectory(layout, id));
  const there = record && { mountPoint, namespace: record.namespace };
  return there && isMounted(there) ? there : undefined;
}

/** The directory of a mount, with its record. */
export function mountDirectory(layout: StoreLayout, id: string): string {
  return join(layout.runMounts, id);
}

export function mountPointPath(layout: StoreLayout, id: string): string {
  return join(layout.runMounts, id, "merged");
}
