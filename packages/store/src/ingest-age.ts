/**
 * The beginnings of downloads that nobody goes on with.
 *
 * @module
 */
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { escapeText, hasErrorCode, isDigest } from "@stowage/content";

import type { FoundItem } from "./collect-garbage.ts";
import { readRecord } from "./record-file.ts";
import type { StoreContext } from "./store-context.ts";
import { tryAcquireLock } from "./store-lock.ts";

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
    using lock = lockIngest(path);
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
    if (!dryRun && (stat === undefined || isOld)) rmSync(lock.path, { force: true });
  }
  return found;
}

function lockIngest(path: string): ReturnType<typeof tryAcquireLock> {
  try {
    return tryAcquireLock(`${path}.lock`, "exclusive");
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
