/**
 * Blobs on their way in. What arrived before an interruption is kept, for another process too.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { constants, rmSync } from "node:fs";
import { chmod, type FileHandle, mkdir, open, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import {
  algorithmOf,
  ContentError,
  createDigester,
  type Descriptor,
  type Digester,
  hasErrorCode,
} from "@stowage/content";

import { removeTree } from "./linux/tree.ts";
import { randomName, syncDirectory } from "./publish-file.ts";
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
  /** @throws {@link ContentError} `ERR_CONTENT_SIZE_MISMATCH` for a byte past the claimed size. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Verifies the bytes and makes the blob visible.
   *
   * @throws {@link ContentError} `ERR_CONTENT_SIZE_MISMATCH`, `ERR_CONTENT_DIGEST_MISMATCH`; what
   *   was written is dropped then.
   */
  commit(): Promise<void>;
}

const READ_BYTES = 256 * 1024;

/** Begins a blob that can not be resumed. */
export async function openPrivateIngest(context: StoreContext, claim: BlobClaim): Promise<Ingest> {
  const path = join(context.stagingDir(), randomName());
  const file = await open(path, "wx", 0o600);
  const drop = async (): Promise<void> => rmSync(path, { force: true });
  return createIngest({ context, claim, path, file, offset: 0, drop, release: drop });
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
  const key = createHash("sha256").update(claim.digest).digest("hex");
  const directory = join(context.layout.ingest, key);
  const lock = tryAcquireLock(`${directory}.lock`, "exclusive");
  if (lock === undefined) return undefined;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const meta = { version: 1, digest: claim.digest, size: claim.size };
    await writeFile(join(directory, "meta.json"), JSON.stringify(meta), { mode: 0o600 });
    const path = join(directory, "data");
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(path, flags, 0o600);
    const held = (await file.stat()).size;
    const offset = held <= claim.size ? held : 0;
    if (offset !== held) await file.truncate(0);
    return await createIngest({
      context,
      claim,
      path,
      file,
      offset,
      async drop() {
        await removeTree(directory);
        rmSync(lock.path, { force: true });
      },
      async release() {
        lock[Symbol.dispose]();
      },
    });
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

interface IngestFile {
  readonly context: StoreContext;
  readonly claim: BlobClaim;
  readonly path: string;
  readonly file: FileHandle;
  readonly offset: number;
  /** Removes what has been written. */
  readonly drop: () => Promise<void>;
  /** Lets others have it. */
  readonly release: () => Promise<void>;
}

async function createIngest(ingest: IngestFile): Promise<Ingest> {
  const { context, claim, path, file, offset, drop, release } = ingest;
  const digester = await digestStart(file, claim, offset);
  let received = offset;
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await file.close();
  };
  const refuse = async (error: ContentError): Promise<never> => {
    await close();
    await drop();
    throw error;
  };
  return {
    offset,
    async write(chunk) {
      if (received + chunk.byteLength > claim.size) {
        const message = `${claim.digest}: more than ${claim.size} bytes`;
        await refuse(new ContentError("ERR_CONTENT_SIZE_MISMATCH", message));
      }
      digester.update(chunk);
      await writeWhole(file, chunk, received);
      received += chunk.byteLength;
    },
    async commit() {
      if (received < claim.size) {
        const message = `${claim.digest}: ${received} of ${claim.size} bytes`;
        await refuse(new ContentError("ERR_CONTENT_SIZE_MISMATCH", message));
      }
      const actual = digester.digest();
      if (actual !== claim.digest) {
        const message = `${claim.digest}: bytes are ${actual}`;
        await refuse(new ContentError("ERR_CONTENT_DIGEST_MISMATCH", message));
      }
      await file.sync();
      await close();
      await publishBlob(context, claim, path);
      await drop();
    },
    async [Symbol.asyncDispose]() {
      await close();
      await release();
    },
  };
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

async function digestStart(file: FileHandle, claim: BlobClaim, length: number): Promise<Digester> {
  const digester = createDigester(algorithmOf(claim.digest));
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, length));
  for (let position = 0; position < length;) {
    const wanted = Math.min(buffer.length, length - position);
    const { bytesRead } = await file.read(buffer, 0, wanted, position);
    if (bytesRead === 0) break;
    digester.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return digester;
}

async function writeWhole(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.byteLength;) {
    const { bytesWritten } = await file.write(
      chunk,
      done,
      chunk.byteLength - done,
      position + done,
    );
    done += bytesWritten;
  }
}
