/**
 * Blobs: whether they are files of the right size and, where they are read, of the right content.
 *
 * @module
 */
import { chmodSync, type BigIntStats, lchownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { algorithmOf, createDigester, type Digest, hasErrorCode, isDigest } from "@stowage/content";

import { syncDirectory } from "../publish-file.ts";
import { blobPath } from "../store-layout.ts";
import type { CheckRun, Mended } from "./check-run.ts";
import type { DamageFault, WantedBlob } from "./damage.ts";
import { readExpectedContent } from "./expected-content.ts";

const BLOB_MODE = 0o444;

/** Checks each blob that is there, and looks for those that are not. */
export async function checkBlobs(run: CheckRun): Promise<void> {
  const { context } = run;
  const { blobs: expected } = await readExpectedContent(context, run.blobs);
  for (const algorithm of ["sha256", "sha512"]) {
    for (const name of readdirSync(join(context.layout.blobs, algorithm))) {
      run.signal?.throwIfAborted();
      const digest = `${algorithm}:${name}`;
      // What bears another name is garbage, and no blob.
      if (isDigest(digest)) await checkBlob(run, digest, expected.get(digest));
    }
  }
  for (const [digest, wanted] of expected) {
    if (isPresent(run, digest)) continue;
    run.counts.blobs += 1;
    await reportBlob(run, digest, wanted, "missing");
  }
}

async function checkBlob(
  run: CheckRun,
  digest: Digest,
  wanted: WantedBlob | undefined,
): Promise<void> {
  const path = blobPath(run.context.layout, digest);
  const stat = statBlob(run, digest);
  if (stat === undefined) return;
  run.counts.blobs += 1;
  if (!stat.isFile()) {
    await reportBlob(run, digest, wanted, "not a file", stat);
    return;
  }
  if (wanted !== undefined && BigInt(wanted.descriptor.size) !== stat.size) {
    await reportBlob(run, digest, wanted, "wrong size", stat);
    return;
  }
  // Whoever has another name for it may have written to it.
  if (run.deep || stat.nlink > 1n) {
    const fault = await hashBlob(run, digest);
    if (fault !== undefined) {
      await reportBlob(run, digest, wanted, fault, stat);
      return;
    }
  }
  if (!isOwnedRight(run, stat)) {
    await run.report(describe(digest, wanted, "owner or mode"), async () => {
      lchownSync(path, ...ownerOf(run));
      chmodSync(path, BLOB_MODE);
      await syncDirectory(join(path, ".."));
      return { outcome: "repaired" };
    });
  }
}

/**
 * Looks at each byte of a blob that something is to be made of, unless that has been done.
 *
 * @returns Whether it is what it should be, now.
 */
export async function isBlobSound(run: CheckRun, digest: Digest): Promise<boolean> {
  const known = run.damages.findLast(({ kind, id }) => kind === "blob" && id === digest);
  if (known !== undefined) return known.outcome === "repaired";
  const stat = statBlob(run, digest);
  const fault = run.deep ? undefined : await hashBlob(run, digest);
  if (fault === undefined) return true;
  const { blobs: expected } = await readExpectedContent(run.context, run.blobs);
  return await reportBlob(run, digest, expected.get(digest), fault, stat);
}

/**
 * A blob that is not needed is no damage when it vanishes, and is removed when it is wrong.
 *
 * @param seen - What was there before it was looked into.
 * @returns Whether it is repaired.
 */
async function reportBlob(
  run: CheckRun,
  digest: Digest,
  wanted: WantedBlob | undefined,
  fault: DamageFault,
  seen?: BigIntStats,
): Promise<boolean> {
  if (fault === "missing" && !(await isStillMissing(run, digest))) return false;
  return await run.report(describe(digest, wanted, fault), async () => {
    if (wanted === undefined) return await removeBlob(run, digest, seen);
    return await fetchBlob(run, wanted);
  });
}

/**
 * Gets a blob again from where it came. Where what is here is whole, nothing is asked for.
 *
 * @throws What the source does; or that there is none.
 */
export async function fetchBlob(run: CheckRun, wanted: WantedBlob): Promise<Mended> {
  const openBlob = run.repair?.openBlob;
  if (openBlob === undefined) return { outcome: "left", remark: "there is nowhere to get it from" };
  let bytes = 0;
  await using _lease = await run.lease({ blobs: [wanted.descriptor.digest] });
  await run.blobs.ingest(
    wanted.descriptor,
    {
      async *openContent(_, options) {
        for await (const chunk of openBlob(wanted, options ?? {})) {
          bytes += chunk.byteLength;
          yield chunk;
        }
      },
    },
    { signal: run.signal },
  );
  return { outcome: "repaired", remark: `${bytes} bytes were fetched` };
}

async function removeBlob(
  run: CheckRun,
  digest: Digest,
  seen: BigIntStats | undefined,
): Promise<Mended> {
  const found = statBlob(run, digest);
  if (found !== undefined && (found.ino !== seen?.ino || found.ctimeNs !== seen.ctimeNs)) {
    return { outcome: "repaired", remark: "somebody has stored it again" };
  }
  await run.blobs.remove(digest);
  return { outcome: "repaired", remark: "nothing needs it; it was removed" };
}

/** Under the lock that whoever removes an image takes alone, and with the records as they are now. */
async function isStillMissing(run: CheckRun, digest: Digest): Promise<boolean> {
  const { context, signal } = run;
  using _gc = await context.lock("gc", "shared", { signal });
  const { blobs } = await readExpectedContent(context, run.blobs);
  return blobs.has(digest) && !isPresent(run, digest);
}

async function hashBlob(run: CheckRun, digest: Digest): Promise<DamageFault | undefined> {
  const digester = createDigester(algorithmOf(digest));
  const descriptor = { mediaType: "", digest, size: 0 };
  try {
    for await (const chunk of run.blobs.openContent(descriptor, { signal: run.signal })) {
      digester.update(chunk);
      run.counts.hashedBytes += chunk.byteLength;
    }
  } catch (error) {
    run.signal?.throwIfAborted();
    if (hasErrorCode(error, "ERR_CONTENT_NOT_FOUND")) return undefined;
    if (hasErrorCode(error, "ERR_STORE_TOO_MANY_FILES")) throw error;
    return "unreadable";
  }
  return digester.digest() === digest ? undefined : "wrong content";
}

function describe(digest: Digest, wanted: WantedBlob | undefined, fault: DamageFault) {
  const usedBy = wanted?.images.map((id) => `image ${id}`) ?? [];
  return { kind: "blob", id: digest, fault, message: `blob ${digest}: ${fault}`, usedBy } as const;
}

function isPresent(run: CheckRun, digest: Digest): boolean {
  return statBlob(run, digest) !== undefined;
}

function statBlob({ context }: CheckRun, digest: Digest): BigIntStats | undefined {
  const path = blobPath(context.layout, digest);
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function isOwnedRight(run: CheckRun, stat: BigIntStats): boolean {
  const [uid, gid] = ownerOf(run);
  return (
    (stat.mode & 0o7777n) === BigInt(BLOB_MODE) &&
    stat.uid === BigInt(uid) &&
    stat.gid === BigInt(gid)
  );
}

/** Blobs belong to whom their directory does. */
function ownerOf({ context }: CheckRun): [uid: number, gid: number] {
  const { uid, gid } = statSync(join(context.layout.blobs, "sha256"));
  return [uid, gid];
}
