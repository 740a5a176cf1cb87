/**
 * Runs in a thread of its own: takes layers apart, one after another. Two such threads share a layer
 * between them, one taking in the blob and the other making the files, or one does both.
 *
 * @module
 */
import { createLayerApplier, type LayerApplier } from "./apply-layer.ts";
import { abortRing, RingAbortedError, RingReader, RingWriter } from "./chunk-ring.ts";
import type { ChunkSink } from "./chunk-sink.ts";
import { decodeBlob } from "./decode-blob.ts";
import { GrowthAbortedError } from "./growing-file.ts";
import { createTarReader } from "./tar-reader.ts";
import type {
  AppliedArchive,
  ApplyJob,
  DecodedBlob,
  DecodeJob,
  UnpackJob,
  WholeJob,
} from "./unpack-job.ts";
import { answerJobs } from "./unpack-thread.ts";

/** A piece of the one archive that this thread is at. */
const PIECE = Buffer.allocUnsafeSlow(256 * 1024);

/** Thrown where the main thread wants nothing more. */
class GivenUpError extends Error {
  override readonly name = "GivenUpError";
}

answerJobs((job: UnpackJob) => {
  if (job.type === "decode") return decode(job);
  return job.type === "apply" ? apply(job) : unpackWhole(job);
});

async function decode({ source, output, limits }: DecodeJob): Promise<DecodedBlob | undefined> {
  const ring = new RingWriter(output);
  try {
    const decoded = await decodeBlob(source, ring, limits);
    ring.reserve();
    ring.end();
    return decoded;
  } catch (error) {
    abortRing(output);
    return nothingIfGivenUp(error);
  }
}

function apply({ archive, diffDir, limits }: ApplyJob): AppliedArchive | undefined {
  using applier = createLayerApplier(diffDir, limits);
  try {
    const reader = createTarReader(applier, limits);
    for (const chunk of new RingReader(archive)) reader.push(chunk);
    reader.finish();
  } catch (error) {
    abortRing(archive);
    return nothingIfGivenUp(error);
  }
  return finish(applier);
}

async function unpackWhole(job: WholeJob): Promise<(DecodedBlob & AppliedArchive) | undefined> {
  const { source, diffDir, limits, givenUp } = job;
  using applier = createLayerApplier(diffDir, limits);
  try {
    const reader = createTarReader(applier, limits);
    const flag = new Int32Array(givenUp);
    const sink: ChunkSink = {
      reserve: () => PIECE,
      commit(length) {
        if (Atomics.load(flag, 0) !== 0) throw new GivenUpError();
        reader.push(PIECE.subarray(0, length));
      },
    };
    const decoded = await decodeBlob(source, sink, limits);
    reader.finish();
    return { ...decoded, ...finish(applier) };
  } catch (error) {
    return nothingIfGivenUp(error);
  }
}

function finish(applier: LayerApplier): AppliedArchive {
  const applied = applier.finish();
  // Small buffers share memory, all of which would be copied to the other thread with each.
  const impliedDirectories = applied.impliedDirectories.map((path) => Uint8Array.from(path));
  return { ...applied, impliedDirectories };
}

function nothingIfGivenUp(error: unknown): undefined {
  const isGivenUp =
    error instanceof RingAbortedError ||
    error instanceof GrowthAbortedError ||
    error instanceof GivenUpError;
  if (!isGivenUp) throw error;
}
