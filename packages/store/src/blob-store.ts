import { closeSync, constants, fstatSync, openSync, read, readSync } from "node:fs";
import { lstat, open, opendir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import {
  type ByteSource,
  ContentError,
  type ContentInfo,
  type ContentProvider,
  type ContentStore,
  type Descriptor,
  type Digest,
  hasErrorCode,
  isDigest,
  type OpenContentOptions,
} from "@stowage/content";

import { createFileDigest } from "./file-digest.ts";
import { IngestFollower } from "./follow-ingest.ts";
import { type Ingest, openPrivateIngest, openResumableIngest } from "./ingest.ts";
import { receivedOf } from "./lease-transfer.ts";
import { syncDirectory } from "./publish-file.ts";
import type { StoreContext } from "./store-context.ts";
import { blobPath } from "./store-layout.ts";
import { asStoreError, reportFailures } from "./system-failure.ts";

/** How {@link BlobStore.ingest} takes in a blob. */
export interface IngestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Is told how many bytes are here, beginning with what an earlier process left. */
  readonly onProgress?: ((received: number) => void) | undefined;
  /** Told once if another is getting the same blob, whose progress is then told instead. */
  readonly onFollow?: (() => void) | undefined;
  /**
   * Milliseconds for which another that gets the same blob may get no further, before it is got
   * beside it.
   *
   * @defaultValue 120_000
   */
  readonly followPatience?: number | undefined;
}

/** The blobs of a store: immutable files under their digest. */
export interface BlobStore extends ContentStore {
  /** Where the file of a blob is, or would be. */
  path(digest: Digest): string;
  /** Bytes of a blob that are here: all, or the beginning that a download has brought. */
  received(descriptor: Pick<Descriptor, "digest" | "size">): number;
  /**
   * Takes in a blob from `provider`, beginning where an earlier call was interrupted, in whatever
   * process. Where the blob is here already and whole, nothing is opened; where another is getting
   * it, that one is waited for, and its work taken over if it ends without.
   *
   * @throws {@link ContentError} as `verifyContent` does; nothing is kept then.
   * @throws {@link StoreError} `ERR_STORE_NO_SPACE`, `ERR_STORE_READ_ONLY`, `ERR_STORE_IO`.
   */
  ingest(descriptor: Descriptor, provider: ContentProvider, options?: IngestOptions): Promise<void>;
}

const READ_BYTES = 256 * 1024;
const SMALL_BYTES = 64 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const LISTED_AT_ONCE = 128;
const DEFAULT_FOLLOW_PATIENCE = 120_000;

export function createBlobStore(context: StoreContext): BlobStore {
  const { layout } = context;
  const store: BlobStore = {
    path: (digest) => blobPath(layout, digest),
    received: (descriptor) => receivedOf(context, descriptor),
    async stat(digest, options) {
      options?.signal?.throwIfAborted();
      const size = await sizeOf(blobPath(layout, digest));
      return size === undefined ? undefined : { digest, size };
    },
    async write(descriptor, source, options) {
      await reportFailures(`blob ${descriptor.digest} can not be stored`, async () => {
        options?.signal?.throwIfAborted();
        if (await isWhole(store, descriptor, options?.signal)) return;
        await using ingest = await openPrivateIngest(context, descriptor);
        await copy(source, ingest, options?.signal);
      });
    },
    async ingest(descriptor, provider, options) {
      const { signal } = options ?? {};
      await reportFailures(`blob ${descriptor.digest} can not be stored`, async () => {
        signal?.throwIfAborted();
        if (await isWhole(store, descriptor, signal)) return;
        const begin = () => ingestOnce(context, descriptor, provider, options ?? {});
        // What a crash left of a download may be damaged; then it says nothing of the provider.
        if ((await begin()) === "bad start") await begin();
      });
    },
    async remove(digest, options) {
      options?.signal?.throwIfAborted();
      return await reportFailures(`blob ${digest} can not be removed`, async () => {
        const path = blobPath(layout, digest);
        const trashed = context.moveToTrash(path);
        if (trashed === undefined) return false;
        await syncDirectory(dirname(path));
        await context.emptyTrash([trashed]);
        return true;
      });
    },
    async *walk(options) {
      for (const algorithm of ["sha256", "sha512"]) {
        yield* walkDirectory(join(layout.blobs, algorithm), algorithm, options?.signal);
      }
    },
    openContent({ digest }, { signal, offset = 0 } = {}) {
      return readBlob(blobPath(layout, digest), digest, offset, signal);
    },
  };
  return store;
}

/** Answers `"bad start"` when it was what an earlier process left that was wrong; it is gone now. */
async function ingestOnce(
  context: StoreContext,
  descriptor: Descriptor,
  provider: ContentProvider,
  options: IngestOptions,
): Promise<"bad start" | "done"> {
  const { signal, onProgress } = options;
  await using ingest = await beginOrFollow(context, descriptor, options);
  if (ingest === undefined) return "done";
  const { offset, origin } = ingest;
  onProgress?.(offset);
  let received = offset;
  let isStartKept = offset > 0;
  const how: OpenContentOptions = {
    signal,
    offset,
    origin,
    onOrigin: (found) => ingest.setOrigin(found),
    computeDigest: () => ingest.digest(signal),
    async onRestart() {
      await ingest.restart();
      received = 0;
      isStartKept = false;
      onProgress?.(0);
    },
  };
  try {
    // Nobody has a byte behind the last: what is here whole only has to be verified.
    if (offset < descriptor.size) {
      for await (const chunk of provider.openContent(descriptor, how)) {
        signal?.throwIfAborted();
        await ingest.write(chunk);
        received += chunk.byteLength;
        onProgress?.(received);
      }
    }
    signal?.throwIfAborted();
    await ingest.commit(signal);
    return "done";
  } catch (error) {
    if (!isStartKept || !hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH")) throw error;
    return "bad start";
  }
}

/** Resolves to `undefined` when another has brought the blob here. */
async function beginOrFollow(
  context: StoreContext,
  descriptor: Descriptor,
  options: IngestOptions,
): Promise<Ingest | undefined> {
  const { signal, onProgress, onFollow, followPatience = DEFAULT_FOLLOW_PATIENCE } = options;
  const first = await openResumableIngest(context, descriptor);
  if (first !== undefined) return first;
  onFollow?.();
  const follow = { signal, onProgress, patience: followPatience };
  const follower = new IngestFollower(context, descriptor, follow);
  while (await follower.wait()) {
    const ingest = await openResumableIngest(context, descriptor);
    if (ingest === undefined) continue;
    // Before the lock was free, the blob was where it belongs: if it is not, the other gave up.
    if ((await sizeOf(blobPath(context.layout, descriptor.digest))) !== descriptor.size)
      return ingest;
    await using _ingest = ingest;
    await ingest.drop();
    onProgress?.(descriptor.size);
    return undefined;
  }
  return await openPrivateIngest(context, descriptor);
}

async function copy(
  source: ByteSource,
  ingest: Ingest,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const chunk of source) {
    signal?.throwIfAborted();
    await ingest.write(chunk);
  }
  signal?.throwIfAborted();
  await ingest.commit(signal);
}

/** Reads what is here: a damaged file is to be replaced, not trusted for its name. */
async function isWhole(
  store: BlobStore,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const info = await store.stat(digest);
  if (info?.size !== size) return false;
  const path = store.path(digest);
  try {
    await using file = await open(path, READ_FLAGS);
    const found = await createFileDigest({ path, file, digest, size, length: size });
    try {
      return (await found.finish(size, signal)) === digest;
    } finally {
      found.drop();
    }
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const stat = await lstat(path);
    return stat.isFile() ? stat.size : undefined;
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw asStoreError(error, path);
  }
}

async function* walkDirectory(
  directory: string,
  algorithm: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ContentInfo, void, undefined> {
  try {
    for await (const { name } of await opendir(directory, { bufferSize: LISTED_AT_ONCE })) {
      signal?.throwIfAborted();
      const digest = `${algorithm}:${name}`;
      if (!isDigest(digest)) continue;
      const size = await sizeOf(join(directory, name));
      if (size !== undefined) yield { digest, size };
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw asStoreError(error, `the ${algorithm} blobs can not be listed`);
  }
}

async function* readBlob(
  path: string,
  digest: Digest,
  offset: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted();
  using file = openBlob(path, digest);
  const { fd, size } = file;
  for (let position = offset; position < size;) {
    signal?.throwIfAborted();
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - position));
    // To hand a small file to another thread takes longer than to read it.
    const bytesRead =
      size <= SMALL_BYTES
        ? readNow(fd, buffer, position, digest)
        : await readLater(fd, buffer, position, digest);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function readNow(fd: number, buffer: Buffer, position: number, digest: Digest): number {
  try {
    return readSync(fd, buffer, 0, buffer.length, position);
  } catch (error) {
    throw asStoreError(error, `blob ${digest} can not be read`);
  }
}

async function readLater(
  fd: number,
  buffer: Buffer,
  position: number,
  digest: Digest,
): Promise<number> {
  try {
    return (await readAt(fd, buffer, 0, buffer.length, position)).bytesRead;
  } catch (error) {
    throw asStoreError(error, `blob ${digest} can not be read`);
  }
}

const readAt = promisify(read);

/** A blob that is open, and is a file. */
interface OpenBlob extends Disposable {
  readonly fd: number;
  readonly size: number;
}

function openBlob(path: string, digest: Digest): OpenBlob {
  try {
    const fd = openSync(path, READ_FLAGS);
    const stat = fstatSync(fd);
    if (stat.isFile()) return { fd, size: stat.size, [Symbol.dispose]: () => closeSync(fd) };
    closeSync(fd);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT", "ELOOP", "ENXIO")) {
      throw asStoreError(error, `blob ${digest} can not be read`);
    }
  }
  throw new ContentError("ERR_CONTENT_NOT_FOUND", `${digest}: not in the store`);
}
