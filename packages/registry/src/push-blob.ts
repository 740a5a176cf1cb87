import {
  type ByteSource,
  type ContentProvider,
  type Descriptor,
  type Digest,
  hasErrorCode,
  type OpenContentOptions,
  verifyContent,
} from "@stowage/content";

import { jitter, pause } from "./back-off.ts";
import { readChunks } from "./read-chunks.ts";
import type { RegistryConnection } from "./registry-connection.ts";
import { responseError } from "./response-error.ts";
import type { TransportOptions } from "./transport.ts";
import {
  cancelUpload,
  completeUpload,
  mountBlob,
  sendPart,
  startUpload,
  type UploadSession,
  uploadStatus,
} from "./upload-session.ts";

/** An upload that broke and that is about to go on where the registry has it, or from its start. */
export interface UploadResumeEvent {
  readonly type: "upload-resume";
  readonly digest: Digest;
  /** Bytes that the registry has. */
  readonly offset: number;
}

/** How a blob is pushed. */
export interface PushBlobOptions extends TransportOptions {
  /** Paths of repositories of the same registry that may have it, asked in order, at most four. */
  readonly mountFrom?: readonly string[] | undefined;
  /**
   * Send in chunks of so many bytes, held in memory one at a time; raised to what the registry asks
   * for. @defaultValue one request for all
   */
  readonly chunkSize?: number | undefined;
  /** Told how many bytes have been sent; goes back where an upload begins anew. */
  readonly onProgress?: ((sent: number) => void) | undefined;
}

/** How a blob came to be there. */
export type PushedBlob = "existed" | "mounted" | "uploaded";

/** What {@link pushBlob} needs to know beside the options of its caller. */
export interface PushBlobContext extends PushBlobOptions {
  readonly attempts: number;
  /** Milliseconds before the second attempt, doubled for each further one. */
  readonly retryDelay: number;
  readonly onEvent?: ((event: UploadResumeEvent) => void) | undefined;
}

const MAX_MOUNTS = 4;
const PROGRESS_BYTES = 1024 * 1024;

/** Whether the registry has a blob in this repository. */
export async function hasBlob(
  connection: RegistryConnection,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  { signal }: TransportOptions,
): Promise<boolean> {
  const request = await connection.request("HEAD", `blobs/${digest}`, {}, signal);
  const response = await connection.send(request, { signal });
  if (response.status === 404) {
    response.cancel();
    return false;
  }
  if (response.status !== 200) throw await responseError(request, response, { signal });
  const length = response.headers["content-length"];
  response.cancel();
  // Another length is a damaged blob, which only a new upload mends.
  return length === undefined || Number(length) === size;
}

const UNMOUNTABLE = [
  "ERR_REGISTRY_AUTH_FAILED",
  "ERR_REGISTRY_DENIED",
  "ERR_REGISTRY_NOT_FOUND",
] as const;

/**
 * Brings a blob to a repository: not at all if it is there, by a mount if it may be, else by an
 * upload, which is taken up again where it broke.
 */
export async function pushBlob(
  connection: RegistryConnection,
  descriptor: Descriptor,
  provider: ContentProvider,
  context: PushBlobContext,
): Promise<PushedBlob> {
  const { signal } = context;
  const { digest } = descriptor;
  if (await hasBlob(connection, descriptor, { signal })) return "existed";
  let session: UploadSession | undefined;
  for (const from of (context.mountFrom ?? []).slice(0, MAX_MOUNTS)) {
    try {
      session = await mountBlob(connection, digest, from, signal);
    } catch (error) {
      // Who may push here need not be allowed to read there, and there may be nothing any more.
      if (!hasErrorCode(error, ...UNMOUNTABLE)) throw error;
      continue;
    }
    if (session === undefined) return "mounted";
  }
  using _slot = await connection.uploadSlots.acquire(signal);
  await upload(connection, descriptor, provider, context, session);
  return "uploaded";
}

async function upload(
  connection: RegistryConnection,
  descriptor: Descriptor,
  provider: ContentProvider,
  context: PushBlobContext,
  opened: UploadSession | undefined,
): Promise<void> {
  const { signal, attempts, retryDelay, onEvent } = context;
  const { digest } = descriptor;
  let session = opened;
  let unreadable: { readonly error: unknown } | undefined;
  const source: ContentProvider = {
    openContent: (wanted, options) =>
      watched(openFrom(provider, wanted, options), (error) => (unreadable = { error })),
  };
  const keep = (next: UploadSession): void => {
    session = next;
  };
  let reached = 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      session ??= await startUpload(connection, digest, signal);
      await send(connection, descriptor, source, session, { ...context, keep });
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= attempts || unreadable !== undefined || !isBroken(error)) {
        await forget(connection, session, signal);
        // The connection breaks, too, when its body does; that is not what went wrong.
        throw unreadable === undefined ? error : unreadable.error;
      }
      await pause(jitter(retryDelay * 2 ** (attempt - 1)), signal);
      session = session && (await statusOf(connection, session, signal));
      const offset = session?.offset ?? 0;
      onEvent?.({ type: "upload-resume", digest, offset });
      if (offset < reached + PROGRESS_BYTES) continue;
      // A way that breaks again and again, but gets on, is no reason to give up.
      reached = offset;
      attempt = 0;
    }
  }
}

async function send(
  connection: RegistryConnection,
  descriptor: Descriptor,
  source: ContentProvider,
  begun: UploadSession,
  context: PushBlobContext & { readonly keep: (session: UploadSession) => void },
): Promise<void> {
  const { signal, keep, onProgress } = context;
  const { digest, size } = descriptor;
  const from = (offset: number): ByteSource => source.openContent(descriptor, { offset, signal });
  let session = begun;
  if (context.chunkSize !== undefined) {
    const length = Math.max(context.chunkSize, session.minChunk);
    for await (const body of readChunks(from(session.offset), length)) {
      session = await sendPart(connection, session, { body, size: body.byteLength }, signal);
      keep(session);
      onProgress?.(session.offset);
    }
    return completeUpload(connection, session, digest, undefined, signal);
  }
  const { offset } = session;
  const rest = size - offset;
  if (rest === 0) return completeUpload(connection, session, digest, undefined, signal);
  const open = (): ByteSource => reporting(from(offset), offset, onProgress);
  const part = { body: { size: rest, open }, size: rest };
  if (offset === 0) return completeUpload(connection, session, digest, part, signal);
  // Registries differ in what they make of a last part with a Content-Range, but not in a PATCH.
  session = await sendPart(connection, session, part, signal);
  keep(session);
  return completeUpload(connection, session, digest, undefined, signal);
}

function openFrom(
  provider: ContentProvider,
  descriptor: Descriptor,
  options: OpenContentOptions = {},
): ByteSource {
  const source = provider.openContent(descriptor, options);
  return (options.offset ?? 0) === 0 ? verifyContent(source, descriptor) : source;
}

async function* watched(source: ByteSource, onFailure: (error: unknown) => void): ByteSource {
  try {
    yield* source;
  } catch (error) {
    onFailure(error);
    throw error;
  }
}

async function* reporting(
  source: ByteSource,
  offset: number,
  onProgress: ((sent: number) => void) | undefined,
): ByteSource {
  let sent = offset;
  for await (const chunk of source) {
    yield chunk;
    sent += chunk.byteLength;
    onProgress?.(sent);
  }
}

/** Whether the way broke, or the registry lost the thread, so that the bytes may be sent again. */
function isBroken(error: unknown): boolean {
  if (hasErrorCode(error, "ERR_REGISTRY_UNAVAILABLE", "ERR_REGISTRY_STALLED")) return true;
  if (!hasErrorCode(error, "ERR_REGISTRY_NOT_FOUND", "ERR_REGISTRY_PROTOCOL")) return false;
  const { diagnostics } = error as { readonly diagnostics?: readonly { readonly code: string }[] };
  return (diagnostics ?? []).some(({ code }) => code.startsWith("BLOB_UPLOAD_"));
}

async function statusOf(
  connection: RegistryConnection,
  session: UploadSession,
  signal: AbortSignal | undefined,
): Promise<UploadSession | undefined> {
  try {
    return await uploadStatus(connection, session, signal);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

async function forget(
  connection: RegistryConnection,
  session: UploadSession | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (session === undefined) return;
  try {
    await cancelUpload(connection, session, signal);
  } catch {
    // The failure that led here is the one to tell; the registry forgets uploads by itself.
  }
}
