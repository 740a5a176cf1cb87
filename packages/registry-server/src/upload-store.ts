import { randomUUID } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ProtocolError } from "./protocol-error.ts";

/** A blob of which a part has come. */
export interface Upload {
  readonly repository: string;
  readonly path: string;
  received: number;
  /** When a request had last to do with it. */
  used: number;
  /** One request at a time may have to do with an upload. */
  busy: boolean;
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

/** Blobs that are on their way in; they lie in temporary files until their digest is known. */
export interface Uploads extends AsyncDisposable {
  /** Begins an upload. Where there are too many, the one that was left alone longest goes. */
  start(repository: string): Promise<string>;
  get(repository: string, id: string): Upload | undefined;
  /**
   * Makes room for so many bytes more of an upload.
   *
   * @throws {@link ProtocolError} 413 or 507, with the upload gone that was too large.
   */
  grow(id: string, bytes: number): Promise<void>;
  end(id: string): Promise<void>;
}

const MAX_UPLOADS = 1000;

export function createUploads(limits: UploadLimits): Uploads {
  // In the order of their last use.
  const uploads = new Map<string, Upload>();
  let folder: Promise<string> | undefined;
  const end = async (id: string): Promise<void> => {
    const upload = uploads.get(id);
    uploads.delete(id);
    if (upload) await rm(upload.path, { force: true });
  };
  const endWhere = async (isLeft: (upload: Upload) => boolean): Promise<number> => {
    const left = [...uploads].filter(([, upload]) => !upload.busy && isLeft(upload));
    await Promise.all(left.map(([id]) => end(id)));
    return left.length;
  };
  const endOld = (): Promise<number> =>
    endWhere(({ used }) => performance.now() - used >= limits.uploadTimeout);
  const sweep = setInterval(() => {
    // What cannot be removed now can be the next time.
    endOld().catch(() => {});
  }, limits.uploadTimeout).unref();
  const held = (): number => [...uploads.values()].reduce((sum, { received }) => sum + received, 0);
  return {
    async start(repository) {
      folder ??= mkdtemp(join(tmpdir(), "stowage-uploads-"));
      const id = randomUUID();
      const path = join(await folder, id);
      if (uploads.size >= MAX_UPLOADS) {
        const [left] = [...uploads].find(([, { busy }]) => !busy) ?? [];
        if (left === undefined) throw new ProtocolError(429, "TOOMANYREQUESTS", "too many uploads");
        await end(left);
      }
      const used = performance.now();
      uploads.set(id, { repository, path, received: 0, used, busy: false });
      await (await open(path, "wx", 0o600)).close();
      return id;
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
      if ((uploads.get(id)?.received ?? 0) + bytes > maxBlobBytes) {
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
      if (folder) await rm(await folder, { recursive: true, force: true });
    },
  };
}
