import { randomUUID } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ProtocolError } from "./protocol-error.ts";

/** A blob of which a part has come. */
export interface Upload {
  readonly repository: string;
  /** Closed when the upload is given up, whoever is at it. */
  readonly file: FileHandle;
  received: number;
  /** When a request had last to do with it. */
  used: number;
  /** One request at a time may have to do with an upload. */
  busy: boolean;
  /** Whether it was given up, and its file closed. */
  over: boolean;
}

/** What clients may take of the disk with what they have not finished. */
export interface UploadLimits {
  /** Bytes of one blob. */
  readonly maxBlobBytes: number;
  /** Bytes of all blobs that are on their way in. */
  readonly maxUploadBytes: number;
  /** Milliseconds for which an upload may be left alone. */
  readonly uploadTimeout: number;
}

/**
 * Blobs that are on their way in; they lie in temporary files until their digest is known. The files
 * have no names, so that they are gone with the process, whatever ends it.
 */
export interface Uploads extends AsyncDisposable {
  /**
   * Begins an upload. Where there are too many, the one that was left alone longest goes.
   *
   * @param busy - Whether a request is at it from the start.
   */
  start(
    repository: string,
    busy: boolean,
  ): Promise<{ readonly id: string; readonly upload: Upload }>;
  get(repository: string, id: string): Upload | undefined;
  /**
   * Makes room for so many bytes more of an upload.
   *
   * @throws {@link ProtocolError} 413 or 507, with the upload gone that was too large; 404 for one
   *   that was given up.
   */
  grow(id: string, bytes: number): Promise<void>;
  end(id: string): Promise<void>;
}

const MAX_UPLOADS = 1000;

export function createUploads(limits: UploadLimits): Uploads {
  // In the order of their last use.
  const uploads = new Map<string, Upload>();
  const end = async (id: string): Promise<void> => {
    const upload = uploads.get(id);
    if (upload === undefined) return;
    uploads.delete(id);
    upload.over = true;
    await upload.file.close();
  };
  const endWhere = async (isLeft: (upload: Upload) => boolean): Promise<number> => {
    const left = [...uploads].filter(([, upload]) => !upload.busy && isLeft(upload));
    await Promise.all(left.map(([id]) => end(id)));
    return left.length;
  };
  const endOld = (): Promise<number> =>
    endWhere(({ used }) => performance.now() - used >= limits.uploadTimeout);
  const sweep = setInterval(() => {
    // What it was is gone, whatever the system says of closing it.
    endOld().catch(() => {});
  }, limits.uploadTimeout).unref();
  const held = (): number => [...uploads.values()].reduce((sum, { received }) => sum + received, 0);
  return {
    async start(repository, busy) {
      const id = randomUUID();
      const file = await openNameless(join(tmpdir(), `stowage-upload-${id}`));
      let ended: Promise<void> | undefined;
      // Nothing is waited for from here until it is in the list: others begin uploads, too.
      if (uploads.size >= MAX_UPLOADS) {
        const [left] = [...uploads].find(([, other]) => !other.busy) ?? [];
        if (left === undefined) {
          await file.close();
          throw new ProtocolError(429, "TOOMANYREQUESTS", "too many uploads");
        }
        ended = end(left);
      }
      const used = performance.now();
      const upload: Upload = { repository, file, received: 0, used, busy, over: false };
      uploads.set(id, upload);
      await ended;
      return { id, upload };
    },
    get(repository, id) {
      const upload = uploads.get(id);
      if (upload?.repository !== repository) return undefined;
      uploads.delete(id);
      uploads.set(id, upload);
      upload.used = performance.now();
      return upload;
    },
    async grow(id, bytes) {
      const { maxBlobBytes, maxUploadBytes } = limits;
      const upload = uploads.get(id);
      if (upload === undefined) throw unknownUpload();
      if (upload.received + bytes > maxBlobBytes) {
        await end(id);
        throw new ProtocolError(413, "SIZE_INVALID", `a blob has at most ${maxBlobBytes} bytes`);
      }
      if (held() + bytes <= maxUploadBytes) return;
      // Those that nobody is at make room, before anybody is turned away.
      await endWhere(() => true);
      if (held() + bytes <= maxUploadBytes) return;
      throw new ProtocolError(
        507,
        "TOOMANYREQUESTS",
        "too much is being uploaded; come back later",
      );
    },
    end,
    async [Symbol.asyncDispose]() {
      clearInterval(sweep);
      await Promise.all([...uploads.keys()].map(end));
    },
  };
}

/** What is said of an upload that there is not, or not any more. */
export function unknownUpload(): ProtocolError {
  return new ProtocolError(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
}

async function openNameless(path: string): Promise<FileHandle> {
  const file = await open(path, "wx+", 0o600);
  try {
    await rm(path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
