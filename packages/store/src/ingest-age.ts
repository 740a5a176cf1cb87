/**
 * The beginnings of downloads that nobody goes on with.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { escapeText, hasErrorCode, isDigest } from "@stowage/content";

import type { FoundItem } from "./collect-garbage.ts";
import type { LockMode } from "./linux/file-lock.ts";
import { removeTree } from "./linux/tree.ts";
import { syncDirectory } from "./publish-file.ts";
import { readRecord } from "./record-file.ts";
import { tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import type { StoreLayout } from "./store-layout.ts";
import { tryAcquireLock } from "./store-lock.ts";

const KEY = /^[0-9a-f]{64}$/;
const HOUR_MS = 60 * 60 * 1000;

/**
 * Moves to the trash what is too old. A download under way is locked by its process, and so is one
 * that is being looked at here.
 *
 * @returns All of them, where they are now.
 */
export async function collectIngests(
  context: StoreContext,
  maxAgeMs: number,
  dryRun: boolean,
): Promise<readonly FoundItem[]> {
  const directory = context.layout.ingest;
  const keys = new Set(readdirSync(directory).map((entry) => entry.replace(/\.lock$/, "")));
  const found: FoundItem[] = [];
  for (const key of keys) {
    const path = join(directory, key);
    using lock = lockIngest(path, dryRun ? "shared" : "exclusive");
    if (lock === undefined) {
      found.push({
        kind: "ingest",
        id: escapeText(key),
        path,
        action: "keep",
        reason: "being downloaded",
      });
      continue;
    }
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const age = stat === undefined ? Infinity : Date.now() - newestIn(path, stat.mtimeMs);
    const isOld = age >= maxAgeMs;
    if (stat !== undefined) {
      const trashed = isOld && !dryRun ? context.moveToTrash(path) : undefined;
      const id = await nameOf(trashed ?? path, key);
      const reason = `the beginning of a download, ${Math.floor(age / HOUR_MS)} hours old`;
      const action = isOld ? "remove" : "keep";
      found.push({ kind: "ingest", id, path: trashed ?? path, action, reason });
    }
    if (!dryRun && (stat === undefined || isOld)) tryRemoveFile(lock.path);
  }
  if (found.some(({ action }) => action === "remove" && !dryRun)) await syncDirectory(directory);
  return found;
}

/**
 * Removes what a process left of a download that it had finished: all but the bytes, which are in
 * their place already. Never fails for what it finds.
 */
export async function clearFinishedIngests({ ingest }: StoreLayout): Promise<void> {
  const keys = new Set(readdirSync(ingest).map((entry) => entry.replace(/\.lock$/, "")));
  for (const key of keys) {
    const path = join(ingest, key);
    if (!KEY.test(key) || hasBytes(path)) continue;
    try {
      using lock = lockIngest(path, "exclusive");
      // Another process may have begun it since.
      if (lock === undefined || hasBytes(path)) continue;
      await removeTree(path);
      tryRemoveFile(lock.path);
    } catch {
      // What stays goes by its age.
    }
  }
}

function hasBytes(path: string): boolean {
  return lstatSync(join(path, "data"), { throwIfNoEntry: false }) !== undefined;
}

function lockIngest(path: string, mode: LockMode): ReturnType<typeof tryAcquireLock> {
  try {
    return tryAcquireLock(`${path}.lock`, mode);
  } catch (error) {
    // Something odd that is in the place of the lock keeps what it locks.
    if (hasErrorCode(error, "ELOOP", "ENOTEMPTY", "EISDIR", "ENXIO", "ENOTDIR")) return undefined;
    throw error;
  }
}

function newestIn(path: string, own: number): number {
  const data = lstatSync(join(path, "data"), { throwIfNoEntry: false });
  // The clock may have been ahead when it was written.
  return Math.min(data?.mtimeMs ?? own, Date.now());
}

async function nameOf(path: string, key: string): Promise<string> {
  try {
    const digest = await readRecord(join(path, "meta.json"), (value) =>
      typeof value === "object" && value !== null && "digest" in value
        ? value["digest"]
        : undefined,
    );
    return typeof digest === "string" && isDigest(digest) ? digest : escapeText(key);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return escapeText(key);
    throw error;
  }
}
