import { isDeepStrictEqual } from "node:util";

import type { ImageRecord } from "../image-record.ts";
import { findImage, listImages, withSummary, writeImage } from "../image-records.ts";
import { keptSummary } from "../image-summary.ts";
import { readImageConfig } from "../read-image-config.ts";
import { isBlobSound } from "./check-blobs.ts";
import type { CheckRun, Mended } from "./check-run.ts";

/** Compares what the record of each image says of its config with the config, which it reads. */
export async function checkSummaries(run: CheckRun): Promise<void> {
  for (const record of (await listImages(run.context)).records) {
    run.signal?.throwIfAborted();
    if (await isSummaryRight(run, record)) continue;
    const { id } = record;
    const message = `image ${id}: its record tells of its config what that does not say`;
    const found = { kind: "image", id, fault: "stale", message, usedBy: [] } as const;
    await run.report(found, () => mendSummary(run, record));
  }
}

async function isSummaryRight(run: CheckRun, { summary, config }: ImageRecord): Promise<boolean> {
  if (summary === undefined) return true;
  const found = await readImageConfig(run.blobs, config, run);
  if (found !== undefined) return isDeepStrictEqual(keptSummary(found), summary);
  // It is the blob that is damaged.
  await isBlobSound(run, config.digest);
  return true;
}

async function mendSummary(run: CheckRun, { id }: ImageRecord): Promise<Mended> {
  const { context } = run;
  // Who removes an image holds this one alone: one that goes meanwhile must not come back.
  using _gc = await context.lock("gc", "shared", run);
  using _images = await context.lock("images", "exclusive", run);
  const record = await findImage(context, id);
  if (record === undefined) return { outcome: "repaired", remark: "somebody has removed it" };
  const config = await readImageConfig(run.blobs, record.config, run);
  if (config === undefined) return { outcome: "left", remark: "its config can not be read" };
  await writeImage(context, withSummary(record, config));
  return { outcome: "repaired", remark: "it tells what that says" };
}
