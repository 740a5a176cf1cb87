/**
 * Blobs on their way in. What arrived before an interruption is kept, for another process too.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

import {
  ContentError,
  type ContentOrigin,
  type Descriptor,
  type Digest,
  hasErrorCode,
} from "@stowage/content";

import { AppendQueue } from "./append-queue.ts";
import type { ArrivalWriter } from "./arrivals.ts";
import { bootId } from "./mount-record.ts";
import { createFileDigest, type FileDigest } from "./file-digest.ts";
import { readIngestMeta, syncIngestMeta, writeIngestMeta } from "./ingest-meta.ts";
import { removeTree } from "./linux/tree.ts";
import { PartialSync } from "./partial-sync.ts";
import { randomName, syncDirectory } from "./publish-file.ts";
import { tryRemoveFile } from "./remove-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath } from "./store-layout.ts";
import { tryAcquireLock } from "./store-lock.ts";

/** What has to be known of a blob before it comes. */
export type BlobClaim = Pick<Descriptor, "digest" | "size">;

/**
 * A blob that is being written. Disposing of it without a commit keeps what can be resumed.
 */
export interface Ingest extends AsyncDisposable {
  /** Bytes that are here already; writing goes on behind them. */
  readonly offset: number;
  /** Where they came from. */
  readonly origin: ContentOrigin | undefined;
  /** Keeps in mind where the bytes that follow come from. */
  setOrigin(origin: ContentOrigin): void;
  /** @throws {@link ContentError} `ERR_CONTENT_SIZE_MISMATCH` for a byte past the claimed size. */
  write(chunk: Uint8Array): Promise<void>;
  /** Begins anew: none of the bytes so far is kept. */
  restart(): Promise<void>;
  /** The digest of what has been written; the next is {@link restart} or {@link commit}. */
  digest(signal?: AbortSignal): Promise<Digest>;
  /**
   * Verifies the bytes and makes the blob visible.
   *
   * @throws {@link ContentError} `ERR_CONTENT_SIZE_MISMATCH`, `ERR_CONTENT_DIGEST_MISMATCH`; what
   *   was written is dropped then.
   */
  commit(signal?: AbortSignal): Promise<void>;
  /** Gives it up for good. */
  drop(): Promise<void>;
}

/** Begins a blob that can not be resumed. */
export async function openPrivateIngest(context: StoreContext, claim: BlobClaim): Promise<Ingest> {
  const path = join(context.stagingDir(), randomName());
  const file = await open(path, "wx", 0o600);
  const remove = async (): Promise<void> => tryRemoveFile(path);
  const digest = await createFileDigest({ path, file, ...claim, length: 0 });
  const keep = async (): Promise<void> => {};
  const place = { path, file, offset: 0, origin: undefined, keep, remove, release: remove };
  return new FileIngest(context, claim, place, digest);
}

/** Where {@link openResumableIngest} keeps a blob. */
export function ingestDirectory(context: StoreContext, claim: BlobClaim): string {
  const key = createHash("sha256").update(claim.digest).digest("hex");
  return join(context.layout.ingest, key);
}

/**
 * Begins a blob, or goes on where an earlier process stopped.
 *
 * @returns `undefined` while another is writing the same blob.
 */
export async function openResumableIngest(
  context: StoreContext,
  claim: BlobClaim,
): Promise<Ingest | undefined> {
  const { digest, size } = claim;
  const directory = ingestDirectory(context, claim);
  const lock = tryAcquireLock(`${directory}.lock`, "exclusive");
  if (lock === undefined) return undefined;
  let file: FileHandle | undefined;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, "data");
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    file = await open(path, flags, 0o600);
    const { origin, offset } = await resumeAt(directory, claim, file);
    let meta = { digest, size, origin, synced: 0 };
    await writeIngestMeta(directory, meta);
    const fileDigest = await createFileDigest({ path, file, digest, size, length: offset });
    return new FileIngest(
      context,
      claim,
      {
        path,
        file,
        offset,
        origin,
        async keep(changed, isDurable) {
          meta = { ...meta, ...changed };
          if (isDurable) await syncIngestMeta(directory, meta, context.stagingDir());
          else await writeIngestMeta(directory, meta);
        },
        async remove() {
          try {
            await removeTree(directory);
            tryRemoveFile(lock.path);
          } catch {
            // The next opening removes what has no bytes, and the next download begins anew.
          }
        },
        async release() {
          lock[Symbol.dispose]();
        },
      },
      fileDigest,
    );
  } catch (error) {
    await file?.close();
    lock[Symbol.dispose]();
    throw error;
  }
}

/** How much of what is there can be gone on with; the rest of the file is cut off. */
async function resumeAt(
  directory: string,
  { digest, size }: BlobClaim,
  file: FileHandle,
): Promise<{ readonly offset: number; readonly origin: ContentOrigin | undefined }> {
  const held = (await file.stat()).size;
  const meta = await readIngestMeta(directory);
  const isOfThis = meta?.digest === digest && meta.size === size && held <= size;
  // A power cut may leave any bytes, or none, of what had not reached the disk.
  const kept = meta?.bootId === bootId() ? held : Math.min(held, meta?.synced ?? 0);
  const offset = isOfThis ? kept : 0;
  if (offset !== held) await file.truncate(offset);
  return { offset, origin: offset > 0 ? meta?.origin : undefined };
}

interface IngestPlace {
  readonly path: string;
  readonly file: FileHandle;
  readonly offset: number;
  readonly origin: ContentOrigin | undefined;
  /** Writes down what has changed; so that it outlives a power cut, if it is to be durable. */
  readonly keep: (
    changed: { readonly origin?: ContentOrigin | undefined; readonly synced?: number },
    isDurable: boolean,
  ) => Promise<void>;
  /** Removes what has been written. */
  readonly remove: () => Promise<void>;
  /** Lets others have it. */
  readonly release: () => Promise<void>;
}

class FileIngest implements Ingest {
  readonly offset: number;
  readonly origin: ContentOrigin | undefined;
  readonly #context: StoreContext;
  readonly #claim: BlobClaim;
  readonly #place: IngestPlace;
  readonly #sync: PartialSync;
  readonly #digest: FileDigest;
  #found: Promise<Digest> | undefined;
  readonly #queue: AppendQueue;
  #arrival: ArrivalWriter;
  #received: number;
  #newOrigin: ContentOrigin | undefined;
  #isOpen = true;

  constructor(context: StoreContext, claim: BlobClaim, place: IngestPlace, digest: FileDigest) {
    this.#context = context;
    this.#claim = claim;
    this.#place = place;
    this.offset = this.#received = place.offset;
    this.origin = place.origin;
    this.#digest = digest;
    this.#sync = new PartialSync(place.file, (synced) => place.keep({ synced }, true));
    this.#arrival = context.arrivals.begin(claim, place.path, place.offset);
    this.#queue = new AppendQueue(place.file, place.offset, (chunks, length) => {
      this.#arrival.grow(length);
      if (digest.isInline || !this.#arrival.isHashed) digest.update(chunks, length);
      this.#sync.begin(length);
    });
  }

  setOrigin(origin: ContentOrigin): void {
    this.#newOrigin = origin;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { digest, size } = this.#claim;
    if (this.#received + chunk.byteLength > size) {
      await this.#refuse("ERR_CONTENT_SIZE_MISMATCH", `${digest}: more than ${size} bytes`);
    }
    const origin = this.#newOrigin;
    if (origin !== undefined) {
      this.#newOrigin = undefined;
      await this.#place.keep({ origin }, false);
    }
    this.#received += chunk.byteLength;
    await this.#queue.push(chunk);
  }

  async restart(): Promise<void> {
    this.#arrival.giveUp();
    await this.#sync.stop();
    await this.#place.keep({ origin: undefined, synced: 0 }, false);
    await this.#queue.truncate();
    const { arrivals } = this.#context;
    this.#arrival = arrivals.begin(this.#claim, this.#place.path, 0);
    this.#received = 0;
    this.#found = undefined;
    this.#digest.restart();
  }

  digest(signal?: AbortSignal): Promise<Digest> {
    this.#found ??= this.#hash(signal);
    return this.#found;
  }

  async commit(signal?: AbortSignal): Promise<void> {
    const { digest, size } = this.#claim;
    if (this.#received < size) {
      const found = `${digest}: ${this.#received} of ${size} bytes`;
      await this.#refuse("ERR_CONTENT_SIZE_MISMATCH", found);
    }
    await this.#queue.flush();
    this.#arrival.end();
    const actual = await this.digest(signal);
    if (actual !== digest) {
      await this.#refuse("ERR_CONTENT_DIGEST_MISMATCH", `${digest}: bytes are ${actual}`);
    }
    await this.#sync.stop();
    await this.#place.file.sync();
    await this.#close();
    await publishBlob(this.#context, this.#claim, this.#place.path);
    this.#arrival.done();
    await this.#place.remove();
  }

  async drop(): Promise<void> {
    this.#arrival.giveUp();
    await this.#close();
    await this.#place.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#arrival.giveUp();
    await this.#close();
    await this.#place.release();
  }

  async #hash(signal: AbortSignal | undefined): Promise<Digest> {
    await this.#queue.flush();
    const found = this.#digest.isInline ? undefined : await this.#arrival.hash();
    return found ?? (await this.#digest.finish(this.#claim.size, signal));
  }

  async #refuse(
    code: "ERR_CONTENT_DIGEST_MISMATCH" | "ERR_CONTENT_SIZE_MISMATCH",
    message: string,
  ): Promise<never> {
    await this.drop();
    throw new ContentError(code, message);
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // What has come is worth keeping; where it cannot be written, that has been told already.
    await this.#queue.flush().catch(() => undefined);
    // Not before: what is written until then is told to it, and would wake a thread that nobody ends.
    this.#digest.drop();
    await this.#sync.close();
  }
}

async function publishBlob(context: StoreContext, claim: BlobClaim, path: string): Promise<void> {
  const target = blobPath(context.layout, claim.digest);
  await chmod(path, 0o444);
  try {
    await rename(path, target);
  } catch (error) {
    if (!hasErrorCode(error, "EISDIR", "ENOTEMPTY", "EEXIST")) throw error;
    const trashed = context.moveToTrash(target);
    await rename(path, target);
    await context.emptyTrash([trashed]);
  }
  await syncDirectory(dirname(target));
}
