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
  /** One request at a time may have to do with an upload. */
  busy: boolean;
}

/** Blobs that are on their way in; they lie in temporary files until their digest is known. */
export interface Uploads extends AsyncDisposable {
  /** Begins an upload. Where there are too many, the one that was left alone longest goes. */
  start(repository: string): Promise<string>;
  get(repository: string, id: string): Upload | undefined;
  end(id: string): Promise<void>;
}

const MAX_UPLOADS = 1000;

export function createUploads(): Uploads {
  // In the order of their last use.
  const uploads = new Map<string, Upload>();
  let folder: Promise<string> | undefined;
  const end = async (id: string): Promise<void> => {
    const upload = uploads.get(id);
    uploads.delete(id);
    if (upload) await rm(upload.path, { force: true });
  };
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
      uploads.set(id, { repository, path, received: 0, busy: false });
      await (await open(path, "wx", 0o600)).close();
      return id;
    },
    get(repository, id) {
      const upload = uploads.get(id);
      if (upload?.repository !== repository) return undefined;
      uploads.delete(id);
      uploads.set(id, upload);
      return upload;
    },
    end,
    async [Symbol.asyncDispose]() {
      if (folder) await rm(await folder, { recursive: true, force: true });
    },
  };
}
