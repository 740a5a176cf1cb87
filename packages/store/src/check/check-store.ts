/**
 * Checks a whole store: records first, since they say what the rest should be, then blobs, then the
 * layers that are made from them.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { compareIndex, refreshIndex } from "../image-layout-index.ts";
import { isReadOnly } from "../read-only.ts";
import { clearStaging, clearTrash } from "../recover-store.ts";
import { checkBlobs } from "./check-blobs.ts";
import { checkLayers } from "./check-layers.ts";
import { checkContainers, checkImages, checkNames } from "./check-records.ts";
import { checkSummaries } from "./check-summaries.ts";
import { type CheckRun, createCheckRun } from "./check-run.ts";
import type { CheckOptions, CheckReport } from "./damage.ts";
import { createTreeComparer } from "./tree-comparer.ts";

const SETTLE_MS = 300;
// One who stores and removes the same image over and over comes by the same states.
const SETTLE_LOOKS = 6;

/** @param openedAt - Milliseconds since 1970: what is older should have been cleared away then. */
export async function checkStore(
  parts: Pick<CheckRun, "blobs" | "context" | "layers" | "lease">,
  options: CheckOptions,
  openedAt: number,
): Promise<CheckReport> {
  await using comparer = createTreeComparer();
  const run = createCheckRun({ ...parts, comparer }, options);
  run.signal?.throwIfAborted();
  const lost = await checkImages(run);
  await checkNames(run, lost);
  await checkContainers(run);
  await checkBlobs(run);
  await checkSummaries(run);
  await checkLayers(run);
  await checkIndex(run);
  await checkLeftovers(run, openedAt);
  run.signal?.throwIfAborted();
  const { damages, counts: checked, unverified } = run;
  return { damages, checked, unverified };
}

/** Whoever sets a name writes the index right after: only what stays wrong for a while is. */
async function checkIndex(run: CheckRun): Promise<void> {
  const { context, signal } = run;
  const first = await compareIndex(context);
  if (first.expected === first.actual) return;
  for (let look = 0; look < SETTLE_LOOKS; look += 1) {
    await delay(SETTLE_MS, undefined, { signal });
    const again = await compareIndex(context);
    if (first.expected !== again.expected || first.actual !== again.actual) return;
  }
  const message = "index.json says something else than the records";
  const found = { kind: "index", id: "index.json", fault: "stale", message, usedBy: [] } as const;
  await run.report(found, async () => {
    await refreshIndex(context);
    return { outcome: "repaired" };
  });
}

/** What opening the store could not remove. */
async function checkLeftovers(run: CheckRun, openedAt: number): Promise<void> {
  const { layout } = run.context;
  if (isReadOnly(layout.root)) return;
  const left = [
    ...(await clearStaging(layout.staging, true)),
    ...(await clearTrash(layout.trash, true)),
  ];
  for (const path of left) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || stat.ctimeMs >= openedAt) continue;
    const id = basename(path);
    const message = `${path}: left by a process that has ended, and can not be removed`;
    const found = { kind: "leftover", id, fault: "unremovable", message, usedBy: [] } as const;
    await run.report(found, async () => {
      await clearStaging(layout.staging);
      await clearTrash(layout.trash);
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return { outcome: "repaired" };
      return { outcome: "left", remark: "look for mounts in it, or files that are immutable" };
    });
  }
}
