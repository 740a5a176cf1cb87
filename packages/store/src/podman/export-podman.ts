/**
 * Makes images readable for podman, and whatever else reads containers/storage, without a copy: an
 * additional image store whose layers are this store's own.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join, resolve } from "node:path";

import { escapeText } from "@stowage/content";

import type { BlobStore } from "../blob-store.ts";
import type { ImageID, ImageRecord } from "../image-record.ts";
import type { LayerID } from "../layer-id.ts";
import type { LayerRecord } from "../layer-record.ts";
import { listLayers } from "../layer-store.ts";
import { type LeaseScope, liveLeases, releaseLease, type ListedLease } from "../lease.ts";
import type { ImageName } from "../name-index.ts";
import { randomName, syncDirectory } from "../publish-file.ts";
import type { StoreContext } from "../store-context.ts";
import { StoreError } from "../store-error.ts";
import type { StoreLayout } from "../store-layout.ts";
import { readBigData } from "./big-data.ts";
import {
  type ExportDirectory,
  exportPath,
  findExport,
  isReplaced,
  openExport,
  removeExport,
} from "./export-directory.ts";
import { linkLayer, unlinkLayers } from "./layer-links.ts";
import { leaseChosen } from "./lease-chosen.ts";
import {
  type OutgoingImage,
  publishRecords,
  removeStale,
  tarSplitName,
  writeItems,
} from "./publish-export.ts";
import { splitLayer } from "./split-layer.ts";

/** What an export to podman is made of. */
export interface ExportPodmanOptions {
  readonly signal?: AbortSignal | undefined;
  /** The images that it has from now on. @defaultValue all */
  readonly images?: readonly ImageID[] | undefined;
}

/** What an export to podman has. */
export interface PodmanExport {
  /** For podman's `additionalimagestore`. */
  readonly directory: string;
  readonly images: readonly ImageID[];
  readonly layers: number;
}

/** An export that is no more. */
export interface RemovedPodmanExport {
  readonly directory: string;
}

const PURPOSE = "the export to podman at ";

/** As `Store.exportPodman`. */
export async function exportPodman(
  context: StoreContext,
  blobs: BlobStore,
  directory: string,
  { images, signal }: ExportPodmanOptions,
): Promise<PodmanExport> {
  const path = exportPath(context.layout, directory);
  using _exports = await context.lock("exports", "exclusive", { signal });
  const place = await openExport(context.layout, path);
  const purpose = `${PURPOSE}${path}`;
  const { lease, names, records } = await leaseChosen(context, images, purpose, signal);
  let isPublishing = false;
  try {
    const stacks = await readStacks(context, records);
    const layers = [
      ...new Map([...stacks.values()].flat().map((layer) => [layer.id, layer])).values(),
    ];
    for (const layer of layers) await makeTarSplit(context, place, layer, signal);
    for (const [, stack] of stacks) {
      for (const [at, layer] of stack.entries()) {
        signal?.throwIfAborted();
        await linkLayer(context, layer, stack.slice(0, at).toReversed(), signal);
      }
    }
    const outgoing = await readOutgoing(blobs, records, names, signal);
    for (const image of outgoing) await writeItems(place, image);
    isPublishing = true;
    await publishRecords(place, layers, outgoing, signal);
    await removeStale(place, layers, outgoing);
    await endLeases(context, purpose, lease);
    await unlinkLayers(context, await exportedLayers(context));
    return {
      directory: path,
      images: outgoing.map(({ record }) => record.id),
      layers: layers.length,
    };
  } catch (error) {
    // What is written already may need it: the next export ends it.
    if (!isPublishing) await releaseLease(context, lease);
    throw error;
  }
}

/** As `Store.removePodmanExport`. */
export async function removePodmanExport(
  context: StoreContext,
  directory: string,
  signal?: AbortSignal,
): Promise<RemovedPodmanExport> {
  const { layout } = context;
  using _exports = await context.lock("exports", "exclusive", { signal });
  const purposes = new Set((await liveLeases(context)).map(({ purpose }) => purpose));
  const isKept = (path: string): boolean => purposes.has(`${PURPOSE}${path}`);
  const path = pathToRemove(layout, directory, isKept);
  const purpose = `${PURPOSE}${path}`;
  const place = isKept(path) && isReplaced(layout, path) ? undefined : findExport(layout, path);
  if (place === undefined && !isKept(path)) {
    const message = `there is no export at "${escapeText(path)}"`;
    const hint = "What exports keep, and where they are, is in what df and gc --dry-run tell.";
    throw new StoreError("ERR_STORE_INVALID_EXPORT", message, { hint });
  }
  if (place !== undefined) {
    if (lstatSync(place.layers, { throwIfNoEntry: false })?.isDirectory() === true) {
      await publishRecords(place, [], [], signal);
    }
    await removeExport(place);
  }
  await endLeases(context, purpose, undefined);
  await unlinkLayers(context, await exportedLayers(context));
  return { directory: path };
}

/** What an export that is kept still was called, be there a directory or none in which it could lie. */
function pathToRemove(
  layout: StoreLayout,
  directory: string,
  isKept: (path: string) => boolean,
): string {
  try {
    return exportPath(layout, directory);
  } catch (error) {
    const path = resolve(directory);
    if (isKept(path)) return path;
    throw error;
  }
}

/** The layers of each image, base first, as they are now that nothing can take them any more. */
async function readStacks(
  context: StoreContext,
  images: readonly ImageRecord[],
): Promise<ReadonlyMap<ImageRecord, readonly LayerRecord[]>> {
  const layers = new Map((await listLayers(context)).records.map((layer) => [layer.id, layer]));
  const stacks = new Map<ImageRecord, readonly LayerRecord[]>();
  for (const image of images) {
    const missing = image.layers.find((id) => !layers.has(id));
    if (missing !== undefined) {
      throw new StoreError(
        "ERR_STORE_LAYER_NOT_FOUND",
        `image ${image.id} can not be exported: layer ${missing} is not stored, or damaged`,
        { hint: "Run fsck --repair, and try again." },
      );
    }
    stacks.set(
      image,
      image.layers.flatMap((id) => layers.get(id) ?? []),
    );
  }
  return stacks;
}

async function makeTarSplit(
  context: StoreContext,
  { layers, staging }: ExportDirectory,
  layer: LayerRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const path = join(layers, tarSplitName(layer.id));
  // It is put there whole, and follows from the ID.
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) return;
  const temporary = join(staging, randomName());
  await splitLayer(context, layer, temporary, signal);
  await rename(temporary, path);
  await syncDirectory(layers);
}

async function readOutgoing(
  blobs: BlobStore,
  records: readonly ImageRecord[],
  names: readonly ImageName[],
  signal: AbortSignal | undefined,
): Promise<readonly OutgoingImage[]> {
  const outgoing: OutgoingImage[] = [];
  for (const record of records) {
    const items = await readBigData(blobs, record, signal);
    const own = names.filter(({ imageId }) => imageId === record.id).map(({ name }) => name);
    outgoing.push({ record, names: own, items });
  }
  return outgoing;
}

/** Ends the leases of an export, but for one. */
async function endLeases(
  context: StoreContext,
  purpose: string,
  but: ListedLease["id"] | undefined,
): Promise<void> {
  for (const lease of await liveLeases(context)) {
    if (lease.purpose === purpose && lease.id !== but) await releaseLease(context, lease.id);
  }
}

/** The layers that an export of this store has, or is about to have. */
async function exportedLayers(context: StoreContext): Promise<ReadonlySet<LayerID>> {
  const isExport = ({ purpose }: LeaseScope): boolean => purpose?.startsWith(PURPOSE) ?? false;
  return new Set((await liveLeases(context)).filter(isExport).flatMap(({ layers }) => layers));
}
