/**
 * Collects what nothing needs: what leases, records and mounts do not reach.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { escapeText, isDigest } from "@stowage/content";

import { createDiskMeter, type DiskMeter } from "./allocated-bytes.ts";
import type { BlobStore } from "./blob-store.ts";
import { syncContent } from "./garbage.ts";
import { collectIngests } from "./ingest-age.ts";
import { isLayerID, type LayerID } from "./layer-id.ts";
import { findNeeds, type FoundNeeds } from "./needs.ts";
import { clearStaging, clearTrash } from "./recover-store.ts";
import type { StoreContext } from "./store-context.ts";

/** What {@link Store.collectGarbage} is to do. */
export interface CollectOptions {
  readonly signal?: AbortSignal | undefined;
  /** Removes nothing, and tells what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined;
  /**
   * How long the beginning of a download waits for somebody to go on with it, in milliseconds.
   *
   * @defaultValue a day
   */
  readonly maxIngestAgeMs?: number | undefined;
}

/** Something that was collected, or was not. */
export interface CollectedItem {
  readonly kind: "blob" | "ingest" | "layer" | "staging" | "trash";
  /** A digest, a layer's ID, or the name of a file. */
  readonly id: string;
  /** What it takes on the disk. */
  readonly bytes: number;
  readonly action: "keep" | "remove";
  /** Why, for people: what needs it, or that nothing does. */
  readonly reason: string;
}

/** What a collection came to. */
export interface CollectReport {
  readonly dryRun: boolean;
  readonly items: readonly CollectedItem[];
  /** Bytes of what was removed, or would be. */
  readonly removedBytes: number;
  readonly keptBytes: number;
}

/** Something in the way of being collected, where it lies now. */
export interface FoundItem extends Omit<CollectedItem, "bytes"> {
  readonly path: string;
}

const UNUSED = "nothing needs it";
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Collects under the lock `gc`; what is found is measured outside of it.
 *
 * @returns Beside the report, what the trash is to be emptied of.
 */
export async function collectGarbage(
  context: StoreContext,
  blobs: BlobStore,
  options: CollectOptions = {},
): Promise<{ readonly report: CollectReport; readonly trashed: readonly string[] }> {
  const { signal, dryRun = false, maxIngestAgeMs = DAY_MS } = options;
  const found: FoundItem[] = [];
  {
    using _gc = await context.lock("gc", dryRun ? "shared" : "exclusive", { signal });
    const needs = await findNeeds(context, blobs);
    found.push(...judgeBlobs(context, needs), ...judgeLayers(context, needs));
    if (!dryRun) found.splice(0, found.length, ...takeAway(context, found));
  }
  if (!dryRun) await syncContent(context);
  found.push(...(await collectIngests(context, maxIngestAgeMs, dryRun)));
  const meter = createDiskMeter();
  const items: CollectedItem[] = [];
  for (const item of found) items.push(await measured(meter, item, signal));
  items.push(...(await leftovers(context, meter, found, dryRun, signal)));
  const sum = (action: CollectedItem["action"]): number =>
    items.reduce((bytes, item) => bytes + (item.action === action ? item.bytes : 0), 0);
  const going = found.filter(({ action }) => action === "remove" && !dryRun);
  return {
    report: { dryRun, items, removedBytes: sum("remove"), keptBytes: sum("keep") },
    trashed: going.map(({ path }) => path),
  };
}

function judgeBlobs({ layout }: StoreContext, needs: FoundNeeds): readonly FoundItem[] {
  return ["sha256", "sha512"].flatMap((algorithm) => {
    const directory = join(layout.blobs, algorithm);
    return readdirSync(directory).map((name): FoundItem => {
      const digest = `${algorithm}:${name}`;
      const path = join(directory, name);
      if (!isDigest(digest)) {
        const id = `${algorithm}/${escapeText(name)}`;
        return { kind: "blob", id, path, action: "remove", reason: "it is not the name of a blob" };
      }
      return { kind: "blob", id: digest, path, ...judge(needs, needs.all.blobs.get(digest)) };
    });
  });
}

function judgeLayers({ layout }: StoreContext, needs: FoundNeeds): readonly FoundItem[] {
  const names = readdirSync(layout.layers).filter((name) => isLayerID(name));
  return names.map((id: LayerID): FoundItem => {
    const path = join(layout.layers, id);
    return { kind: "layer", id, path, ...judge(needs, needs.all.layers.get(id)) };
  });
}

function judge(
  { veto }: FoundNeeds,
  holder: string | undefined,
): Pick<FoundItem, "action" | "reason"> {
  if (holder !== undefined) return { action: "keep", reason: `${holder} needs it` };
  return veto === undefined
    ? { action: "remove", reason: UNUSED }
    : { action: "keep", reason: veto };
}

/** Renames first the layers, which refer to blobs. */
function takeAway(context: StoreContext, found: readonly FoundItem[]): readonly FoundItem[] {
  const going = found.toSorted((one, other) => (one.kind < other.kind ? 1 : -1));
  return going.flatMap((item) => {
    if (item.action === "keep") return [item];
    const path = context.moveToTrash(item.path);
    return path === undefined ? [] : [{ ...item, path }];
  });
}

async function measured(
  meter: DiskMeter,
  { path, ...item }: FoundItem,
  signal: AbortSignal | undefined,
): Promise<CollectedItem> {
  return { ...item, bytes: await meter.measure(path, signal) };
}

/** What lies in the staging and the trash directories beside what was just put there. */
async function leftovers(
  context: StoreContext,
  meter: DiskMeter,
  found: readonly FoundItem[],
  dryRun: boolean,
  signal: AbortSignal | undefined,
): Promise<readonly CollectedItem[]> {
  const { layout } = context;
  const own = new Set(found.map(({ path }) => path));
  const listed: (CollectedItem & { readonly path: string })[] = [];
  for (const [kind, directory] of [
    ["staging", layout.staging],
    ["trash", layout.trash],
  ] as const) {
    for (const id of readdirSync(directory).filter((name) => !name.endsWith(".lock"))) {
      const path = join(directory, id);
      if (own.has(path)) continue;
      const bytes = await meter.measure(path, signal);
      listed.push({ kind, id: escapeText(id), bytes, action: "keep", reason: "", path });
    }
  }
  if (!dryRun) {
    await clearStaging(layout.staging);
    await clearTrash(layout.trash);
  }
  const plan = dryRun ? await planned(context) : undefined;
  return listed.map(({ path, ...item }): CollectedItem => {
    const isGone = plan === undefined ? !isPresent(path) : plan.has(path);
    const reason = isGone ? "left by a process that has ended" : "it is in use, or is kept";
    return { ...item, action: isGone ? "remove" : "keep", reason };
  });
}

async function planned({ layout }: StoreContext): Promise<ReadonlySet<string>> {
  return new Set([
    ...(await clearStaging(layout.staging, true)),
    ...(await clearTrash(layout.trash, true)),
  ]);
}

function isPresent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
