/**
 * Runs in a thread of its own: makes the files of one layer after another.
 *
 * @module
 */
import { createLayerApplier } from "./apply-layer.ts";
import { abortRing, RingAbortedError, RingReader } from "./chunk-ring.ts";
import { createTarReader } from "./tar-reader.ts";
import type { AppliedArchive, ApplyJob } from "./unpack-job.ts";
import { answerJobs } from "./unpack-thread.ts";

answerJobs(apply);

function apply(job: ApplyJob): AppliedArchive | undefined {
  using applier = createLayerApplier(job.diffDir, job.limits);
  try {
    const reader = createTarReader(applier, job.limits);
    for (const chunk of new RingReader(job.archive)) reader.push(chunk);
    reader.finish();
  } catch (error) {
    abortRing(job.archive);
    if (error instanceof RingAbortedError) return undefined;
    throw error;
  }
  const applied = applier.finish();
  // Small buffers share memory, all of which would be copied to the other thread with each.
  const impliedDirectories = applied.impliedDirectories.map((path) => Uint8Array.from(path));
  return { ...applied, impliedDirectories };
}
