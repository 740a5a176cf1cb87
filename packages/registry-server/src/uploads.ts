import type { FileHandle } from "node:fs/promises";

import { type ByteSource, type Digest, hasErrorCode, isDigest } from "@stowage/content";

import { type Exchange, sendEmpty } from "./exchange.ts";
import { ProtocolError } from "./protocol-error.ts";
import { readSteadily } from "./steady-body.ts";
import { unknownUpload, type Upload } from "./upload-store.ts";

const READ_BYTES = 256 * 1024;

/** `POST`: begins an upload, takes a whole blob at once, or mounts one that is here. */
export async function startUpload(exchange: Exchange): Promise<void> {
  const { url, repository, content, uploads, signal } = exchange;
  const mounted = url.searchParams.get("mount");
  if (
    mounted !== null &&
    isDigest(mounted) &&
    (await content.stat(mounted, { signal, toRefer: true }))
  ) {
    sendCreated(exchange, mounted);
    return;
  }
  const isWhole = url.searchParams.has("digest");
  const { id, upload } = await uploads.start(repository, isWhole);
  if (!isWhole) {
    sendProgress(exchange, 202, id, 0);
    return;
  }
  try {
    await finish({ ...exchange, target: id }, upload);
  } finally {
    // Nobody was told its name, so that nobody could go on with it.
    await uploads.end(id);
  }
}

/** `PATCH`: adds to an upload, where it ends. */
export async function continueUpload(exchange: Exchange): Promise<void> {
  const upload = requireUpload(exchange);
  using _ = claim(upload);
  checkStart(exchange, upload);
  await append(exchange, upload);
  sendProgress(exchange, 202, exchange.target, upload.received);
}

/** `PUT`: adds what is left and keeps the blob, if it is what it is called. */
export async function finishUpload(exchange: Exchange): Promise<void> {
  const upload = requireUpload(exchange);
  using _ = claim(upload);
  await finish(exchange, upload);
}

async function finish(exchange: Exchange, upload: Upload): Promise<void> {
  const { url, target, content, uploads, signal } = exchange;
  const digest = url.searchParams.get("digest") ?? "";
  if (!isDigest(digest)) throw new ProtocolError(400, "DIGEST_INVALID", "not a digest");
  checkStart(exchange, upload);
  await append(exchange, upload);
  try {
    await content.write({ digest, size: upload.received }, readUpload(upload), { signal });
  } catch (error) {
    if (upload.over) throw unknownUpload();
    // Who was cut off comes back, and has sent all of it.
    if (signal.aborted) throw error;
    await uploads.end(target);
    if (!hasErrorCode(error, "ERR_CONTENT_DIGEST_MISMATCH", "ERR_CONTENT_SIZE_MISMATCH"))
      throw error;
    throw new ProtocolError(400, "DIGEST_INVALID", error.message);
  }
  await uploads.end(target);
  sendCreated(exchange, digest);
}

async function* readUpload({ file, received }: Upload): ByteSource {
  for (let position = 0; position < received;) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, received - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** `GET`: how far an upload is. */
export async function getUpload(exchange: Exchange): Promise<void> {
  sendProgress(exchange, 204, exchange.target, requireUpload(exchange).received);
}

/** `DELETE`: gives an upload up. */
export async function cancelUpload(exchange: Exchange): Promise<void> {
  requireUpload(exchange);
  await exchange.uploads.end(exchange.target);
  sendEmpty(exchange, 204);
}

function requireUpload({ repository, target, uploads }: Exchange): Upload {
  const upload = uploads.get(repository, target);
  if (upload === undefined) throw unknownUpload();
  return upload;
}

function checkStart({ request, repository, target }: Exchange, upload: Upload): void {
  const { "content-range": range, "content-length": length } = request.headers;
  if (range === undefined) return;
  const [, from, to] = /^(\d+)-(\d+)$/.exec(range) ?? [];
  const isLength = length === undefined || Number(length) === Number(to) - Number(from) + 1;
  if (Number(from) === upload.received && isLength) return;
  throw new ProtocolError(416, "BLOB_UPLOAD_INVALID", "not where the upload ends", {
    location: `/v2/${repository}/blobs/uploads/${target}`,
    range: `0-${Math.max(upload.received - 1, 0)}`,
  });
}

function claim(upload: Upload): Disposable {
  if (upload.busy) throw new ProtocolError(409, "BLOB_UPLOAD_INVALID", "another request is at it");
  upload.busy = true;
  return {
    [Symbol.dispose]: () => {
      upload.busy = false;
    },
  };
}

async function append(exchange: Exchange, upload: Upload): Promise<void> {
  const { request, target, uploads, stallTimeout } = exchange;
  await uploads.grow(target, Number(request.headers["content-length"] ?? 0));
  for await (const chunk of readSteadily(request, stallTimeout)) {
    await uploads.grow(target, chunk.byteLength);
    try {
      await writeWhole(upload.file, chunk, upload.received);
    } catch (error) {
      throw upload.over ? unknownUpload() : error;
    }
    upload.received += chunk.byteLength;
  }
  // Given up behind the last byte: nobody may be told that it stands there.
  if (upload.over) throw unknownUpload();
}

async function writeWhole(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.byteLength;) {
    const length = chunk.byteLength - done;
    const { bytesWritten } = await file.write(chunk, done, length, position + done);
    done += bytesWritten;
  }
}

function sendProgress(exchange: Exchange, status: number, id: string, received: number): void {
  sendEmpty(exchange, status, {
    location: `/v2/${exchange.repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(received - 1, 0)}`,
    "docker-upload-uuid": id,
  });
}

function sendCreated(exchange: Exchange, digest: Digest): void {
  sendEmpty(exchange, 201, {
    location: `/v2/${exchange.repository}/blobs/${digest}`,
    "docker-content-digest": digest,
  });
}
