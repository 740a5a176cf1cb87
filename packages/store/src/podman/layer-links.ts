/**
 * What readers of containers/storage want to find beside a layer's files: its short name, and the
 * layers below it. It lies in the store's own layer directories, where readers get to through one
 * symbolic link, so that nothing is copied and a whole stack can be ID-mapped in one mount.
 *
 * @module
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { isLayerID, type LayerID } from "../layer-id.ts";
import type { LayerRecord } from "../layer-record.ts";
import { publishFile, syncDirectory, writeSyncedFile } from "../publish-file.ts";
import type { StoreContext } from "../store-context.ts";
import { LINKS_DIRECTORY, layerPath, type StoreLayout } from "../store-layout.ts";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const NAME_BYTES = 16;
const FILES = ["link", "lower", "lower-layers"] as const;

/** The short name of a layer: 26 letters and digits that follow from its ID. */
export function layerLinkName(id: LayerID): string {
  let name = "";
  let bits = 0;
  let held = 0;
  for (const byte of Buffer.from(id, "hex").subarray(0, NAME_BYTES)) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) name += BASE32[(held >>> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return name + BASE32[(held << (5 - bits)) & 31];
}

/**
 * Writes what is missing beside a layer. Durable when it resolves. Under the lock `gc`, so that no
 * repair puts another directory in the layer's place meanwhile, without it.
 *
 * @param below - The layers that it lies on, nearest first.
 */
export async function linkLayer(
  context: StoreContext,
  layer: LayerRecord,
  below: readonly LayerRecord[],
  signal?: AbortSignal,
): Promise<void> {
  const { layout } = context;
  using _gc = await context.lock("gc", "shared", { signal });
  const directory = layerPath(layout, layer.id);
  const stagingDir = context.stagingDir();
  for (const [name, bytes] of linkFiles(layer, below)) {
    const path = join(directory, name);
    if (readFile(path) === bytes) continue;
    await publishFile({ path, bytes, stagingDir });
  }
  const links = join(layout.layers, LINKS_DIRECTORY);
  const link = join(links, layerLinkName(layer.id));
  mkdirSync(links, { recursive: true, mode: 0o700 });
  if (isLinkTo(link, layer.id)) return;
  await rm(link, { recursive: true, force: true });
  symlinkSync(targetOf(layer.id), link);
  await syncDirectory(links);
  await syncDirectory(layout.layers);
}

/** Gives a layer that was made anew what the one in the store has beside it. */
export async function keepLinkFiles(layout: StoreLayout, id: LayerID, made: string): Promise<void> {
  for (const name of FILES) {
    const bytes = readFile(join(layerPath(layout, id), name));
    if (bytes === undefined) continue;
    await rm(join(made, name), { force: true });
    await writeSyncedFile(join(made, name), bytes);
  }
  await syncDirectory(made);
}

/** Removes what {@link linkLayer} wrote, in the same way, for all layers but those to be kept. */
export async function unlinkLayers(
  context: StoreContext,
  kept: { has(id: LayerID): boolean },
  signal?: AbortSignal,
): Promise<void> {
  const { layout } = context;
  using _gc = await context.lock("gc", "shared", { signal });
  const links = join(layout.layers, LINKS_DIRECTORY);
  for (const name of listLinks(links)) {
    const path = join(links, name);
    const id = linkedLayer(path);
    if (id !== undefined && kept.has(id)) continue;
    if (id !== undefined) {
      for (const file of FILES) await rm(join(layerPath(layout, id), file), { force: true });
    }
    await rm(path, { recursive: true, force: true });
  }
  try {
    await rmdir(links);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT", "ENOTEMPTY")) throw error;
  }
}

/** As the kernel is to stack them: nothing shows through a layer whose root is opaque. */
function linkFiles(
  layer: LayerRecord,
  below: readonly LayerRecord[],
): ReadonlyMap<(typeof FILES)[number], string> {
  const bottom = [layer, ...below].findIndex(({ isRootOpaque }) => isRootOpaque);
  const lower = (bottom < 0 ? below : below.slice(0, bottom)).map(({ id }) => id);
  const files = new Map<(typeof FILES)[number], string>([["link", layerLinkName(layer.id)]]);
  if (lower.length === 0) return files;
  const links = lower.map((id) => `${LINKS_DIRECTORY}/${layerLinkName(id)}`);
  return files.set("lower", links.join(":")).set("lower-layers", lower.join(":"));
}

function listLinks(links: string): readonly string[] {
  try {
    return readdirSync(links);
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

function linkedLayer(path: string): LayerID | undefined {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  const [, id = ""] = /^\.\.\/([0-9a-f]{64})\/diff$/.exec(readlinkSync(path)) ?? [];
  return isLayerID(id) ? id : undefined;
}

function isLinkTo(path: string, id: LayerID): boolean {
  return linkedLayer(path) === id;
}

function targetOf(id: LayerID): string {
  return `../${id}/diff`;
}

function readFile(path: string): string | undefined {
  try {
    return lstatSync(path).isFile() ? readFileSync(path, "utf8") : undefined;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
