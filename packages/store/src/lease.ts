import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Digest, hasErrorCode, type JsonValue } from "@stowage/content";

import type { LayerID } from "./layer-id.ts";
import { randomName } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import type { StoreContext } from "./store-context.ts";
import { tryAcquireLock } from "./store-lock.ts";

/** What a lease keeps. */
export interface LeaseOptions {
  readonly signal?: AbortSignal | undefined;
  /** Blobs that are to stay. With neither of the lists, everything stays. */
  readonly blobs?: readonly Digest[] | undefined;
  /** Layers that are to stay, with those below them. */
  readonly layers?: readonly LayerID[] | undefined;
}

/**
 * Keeps content from being collected until it is disposed of, or its process ends. What is removed
 * meanwhile loses its names and records at once, and its content later.
 */
export interface Lease extends AsyncDisposable {
  readonly id: string;
}

/** What a lease of any living process keeps. */
export interface LeaseScope {
  readonly isEverything: boolean;
  readonly blobs: readonly Digest[];
  readonly layers: readonly LayerID[];
}

/** @param onRelease - Is called when the lease is gone. */
export async function createLease(
  context: StoreContext,
  options: LeaseOptions,
  onRelease: () => Promise<void>,
): Promise<Lease> {
  const { signal, blobs, layers } = options;
  const isEverything = blobs === undefined && layers === undefined;
  const scope: LeaseScope = { isEverything, blobs: blobs ?? [], layers: layers ?? [] };
  const id = randomName();
  const path = join(context.layout.leases, `${id}.json`);
  using _gc = await context.lock("gc", "shared", { signal });
  const lock = tryAcquireLock(path, "exclusive");
  if (lock === undefined) return await createLease(context, options, onRelease);
  writeFileSync(path, formatRecord({ version: 1, pid: process.pid, ...scope }));
  let isHeld = true;
  return {
    id,
    async [Symbol.asyncDispose]() {
      if (!isHeld) return;
      isHeld = false;
      rmSync(path, { force: true });
      lock[Symbol.dispose]();
      await onRelease();
    },
  };
}

/** The leases that are in force; those of dead processes are dropped on the way. */
export async function liveLeases(context: StoreContext): Promise<readonly LeaseScope[]> {
  const scopes: LeaseScope[] = [];
  for (const entry of readdirSync(context.layout.leases)) {
    const path = join(context.layout.leases, entry);
    const scope = dropIfDead(path) ? undefined : await readLease(path);
    if (scope !== undefined) scopes.push(scope);
  }
  return scopes;
}

/** The kernel tells: it has let go of the locks of the dead. */
function dropIfDead(path: string): boolean {
  try {
    // A shared lock, so that nothing is written over what a living owner may read.
    using lock = tryAcquireLock(path, "shared", true);
    if (lock === undefined) return false;
    rmSync(path, { force: true });
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EISDIR", "ELOOP", "ENOTDIR", "ENOTEMPTY")) return true;
    throw error;
  }
}

async function readLease(path: string): Promise<LeaseScope | undefined> {
  try {
    return await readRecord(path, parseLease);
  } catch {
    // Someone alive keeps something: what, can not be read.
    return { isEverything: true, blobs: [], layers: [] };
  }
}

function parseLease(value: JsonValue): LeaseScope {
  const fields = ["version", "pid", "isEverything", "blobs", "layers"];
  const shape = new RecordShape(value, "lease", fields);
  shape.version(1);
  return {
    isEverything: shape.boolean("isEverything"),
    blobs: shape.digests("blobs"),
    layers: shape.layerIDs("layers"),
  };
}
