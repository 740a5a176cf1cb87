import { readdirSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, hasErrorCode, type JsonValue } from "@stowage/content";

import type { LayerID } from "./layer-id.ts";
import {
  type KeptTransfer,
  type ListedTransfer,
  parseTransfer,
  receivedOf,
  type Transfer,
} from "./lease-transfer.ts";
import { randomName, syncDirectory } from "./publish-file.ts";
import { isReadOnly } from "./read-only.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import { removeFile, tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import { tryAcquireLock } from "./store-lock.ts";

/** What a lease keeps. */
export interface LeaseOptions {
  readonly signal?: AbortSignal | undefined;
  /** Blobs that are to stay. With neither of the lists, everything stays. */
  readonly blobs?: readonly Digest[] | undefined;
  /** Layers that are to stay, with those below them and their blobs; they need not be here yet. */
  readonly layers?: readonly LayerID[] | undefined;
  /**
   * Keeps the lease when its process ends, until it is released, and says what for: an export that
   * others read, say. Without it the lease ends with its process at the latest.
   */
  readonly purpose?: string | undefined;
  /** What is brought here under it, for whoever asks what is under way. */
  readonly transfer?: Transfer | undefined;
}

/**
 * Keeps content from being collected until it is disposed of, or its process ends. What is removed
 * meanwhile loses its names and records at once, and its content later.
 */
export interface Lease extends AsyncDisposable {
  readonly id: string;
}

/** A lease that is in force, of whatever process. */
export interface ListedLease {
  readonly id: string;
  /** Who took it. */
  readonly pid: number;
  readonly purpose?: string;
}

/** What a lease of any living process keeps. */
export interface LeaseScope extends ListedLease {
  /** For messages: the process, or what it is for. */
  readonly holder: string;
  readonly isEverything: boolean;
  readonly blobs: readonly Digest[];
  readonly layers: readonly LayerID[];
  readonly transfer?: KeptTransfer;
}

const NAME = /^[0-9a-f]{32}$/;

/** @param onRelease - Is called when the lease is gone. */
export async function createLease(
  context: StoreContext,
  options: LeaseOptions,
  onRelease: () => Promise<void>,
): Promise<Lease> {
  const { signal, blobs, layers, purpose, transfer } = options;
  const id = randomName();
  if (purpose === undefined && isReadOnly(context.layout.leases)) {
    return await holdReadOnly(context, id, signal);
  }
  const path = leasePath(context, id);
  const record = {
    version: 1,
    pid: process.pid,
    isEverything: blobs === undefined && layers === undefined,
    blobs: blobs ?? [],
    layers: layers ?? [],
    ...(purpose !== undefined && { purpose }),
    ...(transfer !== undefined && { transfer: toKeep(transfer) }),
  };
  using _gc = await context.lock("gc", "shared", { signal });
  const lock = tryAcquireLock(path, "exclusive");
  if (lock === undefined) return await createLease(context, options, onRelease);
  try {
    await writeLease(context, path, record);
  } catch (error) {
    tryRemoveFile(path);
    lock[Symbol.dispose]();
    throw error;
  }
  let isHeld = true;
  return {
    id,
    async [Symbol.asyncDispose]() {
      if (!isHeld) return;
      isHeld = false;
      lock[Symbol.dispose]();
      if (purpose !== undefined) return;
      tryRemoveFile(path);
      await onRelease();
    },
  };
}

/**
 * Where no lease can be written down, none who can write there collects anything meanwhile: it has to
 * wait. So content is read safely; whatever it was to be put together with fails by itself.
 */
async function holdReadOnly(
  context: StoreContext,
  id: string,
  signal: AbortSignal | undefined,
): Promise<Lease> {
  const gc = await context.lock("gc", "shared", { signal });
  return { id, [Symbol.asyncDispose]: async () => gc[Symbol.dispose]() };
}

/** Ends a lease that outlives its process. Resolves to whether there was one. */
export async function releaseLease(context: StoreContext, id: string): Promise<boolean> {
  const path = leasePath(context, id);
  if (!NAME.test(id) || (await readLease(path, id))?.purpose === undefined) return false;
  removeFile(path);
  await syncDirectory(context.layout.leases);
  return true;
}

/** The leases that are in force; those of dead processes are dropped on the way. */
export async function liveLeases(context: StoreContext): Promise<readonly LeaseScope[]> {
  const scopes: LeaseScope[] = [];
  for (const entry of readdirSync(context.layout.leases)) {
    const path = join(context.layout.leases, entry);
    const id = entry.replace(/\.json$/, "");
    const scope = (await dropIfDead(path, id)) ? undefined : await readLease(path, id);
    if (scope !== undefined) scopes.push(scope);
  }
  return scopes;
}

/** As {@link liveLeases}, without what they keep. */
export async function listLeases(context: StoreContext): Promise<readonly ListedLease[]> {
  const leases = await liveLeases(context);
  return leases.map(({ id, pid, purpose }) => ({
    id,
    pid,
    ...(purpose !== undefined && { purpose }),
  }));
}

/** What is being brought by living processes, as far as it has come. Waits for nobody. */
export async function listTransfers(context: StoreContext): Promise<readonly ListedTransfer[]> {
  const leases = await liveLeases(context);
  return leases.flatMap(({ pid, transfer }) => {
    if (transfer === undefined) return [];
    const content = transfer.content.map((claim) => ({
      ...claim,
      received: receivedOf(context, claim),
    }));
    return [{ ...transfer, pid, content }];
  });
}

function toKeep({ name, digest, content }: Transfer): KeptTransfer {
  // An image may name a layer twice; it is brought once.
  const sizes = new Map(content.map((claim) => [claim.digest, claim.size]));
  return {
    name,
    digest,
    since: new Date().toISOString(),
    content: [...sizes].map(([of, size]) => ({ digest: of, size })),
  };
}

async function writeLease(context: StoreContext, path: string, record: object): Promise<void> {
  writeFileSync(path, formatRecord(record));
  if (!("purpose" in record)) return;
  {
    await using file = await open(path);
    await file.sync();
  }
  await syncDirectory(context.layout.leases);
}

/** The kernel tells: it has let go of the locks of the dead. */
async function dropIfDead(path: string, id: string): Promise<boolean> {
  try {
    // A shared lock, so that nothing is written over what a living owner may read.
    using lock = tryAcquireLock(path, "shared", true);
    if (lock === undefined) return false;
    if ((await readSound(path, id))?.purpose !== undefined) return false;
    tryRemoveFile(path);
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EISDIR", "ELOOP", "ENOTDIR", "ENOTEMPTY")) return true;
    throw error;
  }
}

async function readLease(path: string, id: string): Promise<LeaseScope | undefined> {
  try {
    return await readRecord(path, (value) => parseLease(value, id));
  } catch {
    // Someone alive keeps something: what, can not be read.
    const holder = `lease ${id}, which can not be read,`;
    return { id, pid: 0, holder, isEverything: true, blobs: [], layers: [] };
  }
}

/** What is left of a lease whose process died while it wrote it can not be read, and keeps nothing. */
async function readSound(path: string, id: string): Promise<LeaseScope | undefined> {
  try {
    return await readRecord(path, (value) => parseLease(value, id));
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return undefined;
    throw error;
  }
}

function parseLease(value: JsonValue, id: string): LeaseScope {
  const fields = ["version", "pid", "isEverything", "blobs", "layers", "purpose", "transfer"];
  const shape = new RecordShape(value, "lease", fields);
  shape.version(1);
  const pid = shape.count("pid");
  const purpose = shape.has("purpose") ? shape.string("purpose") : undefined;
  return {
    id,
    pid,
    ...(purpose !== undefined && { purpose }),
    holder: purpose ?? `a lease of process ${pid}`,
    isEverything: shape.boolean("isEverything"),
    blobs: shape.digests("blobs"),
    layers: shape.layerIDs("layers"),
    ...(shape.has("transfer") && { transfer: parseTransfer(shape.value("transfer")) }),
  };
}

function leasePath({ layout }: StoreContext, id: string): string {
  return join(layout.leases, `${id}.json`);
}
