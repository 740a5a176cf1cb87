/**
 * Layers: whether each is recorded, has its files, and these are what its blob unpacks to.
 *
 * @module
 */
import { lstatSync, readdirSync } from "node:fs";

import { hasErrorCode } from "@stowage/content";

import { isLayerID, type LayerID } from "../layer-id.ts";
import type { LayerPlan } from "../stage-layer.ts";
import { diffPath, layerPath } from "../store-layout.ts";
import { isLayerEmpty, isLayerSuspect, verifyLayer } from "../verify-layer.ts";
import { fetchBlob, isBlobSound } from "./check-blobs.ts";
import type { CheckRun, FoundDamage, Mended } from "./check-run.ts";
import type { TreeDifference } from "../layer/compare-trees.ts";
import { type ExpectedLayer, readExpectedContent } from "./expected-content.ts";

/** Checks the layers that are there and those that should be, base first. */
export async function checkLayers(run: CheckRun): Promise<void> {
  const { context } = run;
  const expected = (await readExpectedContent(context, run.blobs)).layers;
  const present = readdirSync(context.layout.layers).filter((name) => isLayerID(name));
  const all = new Map<LayerID, ExpectedLayer>(
    present.map((id) => [id, { plan: undefined, usedBy: [], images: [] }]),
  );
  for (const [id, layer] of expected) all.set(id, layer);
  const done = new Set<LayerID>();
  /** Layers that are damaged, and those that lie on them. */
  const unsound = new Set<LayerID>();
  const visit = async (id: LayerID): Promise<void> => {
    const layer = all.get(id);
    if (layer === undefined || done.has(id)) return;
    done.add(id);
    const { parent } = layer.plan ?? {};
    const isBelowSound = parent === undefined || !unsound.has(parent);
    const isSound = await checkLayer(run, id, { ...layer, isBelowSound });
    if (!isSound || !isBelowSound) unsound.add(id);
  };
  for (const id of all.keys()) {
    // What lies on a layer takes over from it, so that one must be in order first.
    const chain: LayerID[] = [];
    for (let next: LayerID | undefined = id; next !== undefined && !done.has(next);) {
      if (chain.includes(next)) break;
      chain.push(next);
      next = all.get(next)?.plan?.parent;
    }
    for (const lower of chain.toReversed()) await visit(lower);
  }
}

interface LayerInStack extends ExpectedLayer {
  readonly isBelowSound: boolean;
}

/** Answers whether the layer is sound now. */
async function checkLayer(run: CheckRun, id: LayerID, layer: LayerInStack): Promise<boolean> {
  run.signal?.throwIfAborted();
  run.counts.layers += 1;
  const broken = await findBroken(run, id);
  if (broken !== undefined) {
    if (!(await isStillWanted(run, id))) return true;
    return await run.report(describe(id, layer, broken), () => rebuild(run, id, layer));
  }
  const { plan } = layer;
  if (plan === undefined) return true;
  if (!run.deep && !(await isLayerSuspect(run.context, id, plan, run.signal))) return true;
  const difference = await compare(run, id, plan, layer.isBelowSound);
  if (difference === undefined || !(await isStillWanted(run, id))) return true;
  const found = describe(id, layer, "wrong tree", difference);
  return await run.report(found, () => rebuild(run, id, layer));
}

/** What is wrong with a layer before any of its files is looked at. */
async function findBroken(run: CheckRun, id: LayerID): Promise<FoundDamage["fault"] | undefined> {
  const { layout } = run.context;
  if (lstatSync(layerPath(layout, id), { throwIfNoEntry: false }) === undefined) return "missing";
  try {
    const record = await run.layers.find(id);
    if (record === undefined) return "no record";
    return record.entries > 1 && isLayerEmpty(layout, id) ? "wrong tree" : undefined;
  } catch (error) {
    if (!hasErrorCode(error, "ERR_STORE_CORRUPT", "ERR_STORE_IO")) throw error;
    const diff = lstatSync(diffPath(layout, id), { throwIfNoEntry: false });
    return diff?.isDirectory() ? "unreadable record" : "missing";
  }
}

/** Says what differs. Where the blob is damaged itself and is not repaired, nothing can be said. */
async function compare(
  run: CheckRun,
  id: LayerID,
  plan: LayerPlan,
  isBelowSound: boolean,
): Promise<TreeDifference | undefined> {
  const { context, layers, comparer, signal } = run;
  try {
    await using _lease = await run.lease({ layers: [id] });
    const { difference } = await verifyLayer(context, layers, comparer, plan, {
      repair: false,
      isBelowSound,
      isBlobSound: await isBlobSound(run, plan.blob.digest),
      signal,
    });
    run.counts.comparedLayers += 1;
    return difference;
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    if (await isStillWanted(run, id)) run.unverified.push({ id, reason: error.message });
    return undefined;
  }
}

/** Unpacks a layer anew, with its blob got again first where that is not whole. */
async function rebuild(run: CheckRun, id: LayerID, layer: LayerInStack): Promise<Mended> {
  const { context, layers, comparer, signal } = run;
  const { plan } = layer;
  if (plan === undefined) {
    if (layer.usedBy.length > 0) return { outcome: "left", remark: "nothing says what it was" };
    return await removeBroken(run, id);
  }
  if (!layer.isBelowSound) {
    return { outcome: "left", remark: "a layer below it has to be repaired first" };
  }
  await using _lease = await run.lease({ layers: [id], blobs: [plan.blob.digest] });
  const repositories = layer.images.flatMap(({ manifests }) =>
    manifests.flatMap(({ repository }) => repository ?? []),
  );
  const wanted = {
    descriptor: plan.blob,
    images: layer.images.map((image) => image.id),
    repositories: [...new Set(repositories)],
  };
  const got = await fetchBlob(run, wanted);
  const how = { repair: true, isBelowSound: true, signal };
  const { replaced } = await verifyLayer(context, layers, comparer, plan, how);
  const using = replaced?.stillUsing ?? [];
  const remarks = [
    ...(got.outcome === "repaired" && got.remark !== NOTHING_FETCHED ? [got.remark ?? ""] : []),
    ...(using.length > 0
      ? [`mounted by ${using.join(", ")}, with the old files until that is unmounted`]
      : []),
  ];
  return { outcome: "repaired", ...(remarks.length > 0 && { remark: remarks.join("; ") }) };
}

async function removeBroken(run: CheckRun, id: LayerID): Promise<Mended> {
  const { context, signal } = run;
  let trashed: string | undefined;
  {
    using _gc = await context.lock("gc", "exclusive", { signal });
    if ((await findBroken(run, id)) === undefined) {
      return { outcome: "repaired", remark: "somebody has stored it again" };
    }
    trashed = context.moveToTrash(layerPath(context.layout, id));
  }
  await context.emptyTrash([trashed]);
  return { outcome: "repaired", remark: "nothing needs it; it was removed" };
}

const NOTHING_FETCHED = "0 bytes were fetched";

/** Whether a layer is one that should be here, with the records as they are now. */
async function isStillWanted(run: CheckRun, id: LayerID): Promise<boolean> {
  const { context, signal } = run;
  using _gc = await context.lock("gc", "shared", { signal });
  const isHere = lstatSync(layerPath(context.layout, id), { throwIfNoEntry: false }) !== undefined;
  if (isHere) return true;
  return ((await readExpectedContent(context, run.blobs)).layers.get(id)?.usedBy ?? []).length > 0;
}

function describe(
  id: LayerID,
  { usedBy }: ExpectedLayer,
  fault: FoundDamage["fault"],
  difference?: TreeDifference,
): FoundDamage {
  const where = difference && `: ${difference.path === "" ? "its root" : difference.path}`;
  const what = difference ? `${where}: ${difference.aspect}` : `: ${fault}`;
  return {
    kind: "layer",
    id,
    fault,
    ...(difference && { path: difference.path, aspect: difference.aspect }),
    message: `layer ${id}${what}`,
    usedBy,
  };
}
