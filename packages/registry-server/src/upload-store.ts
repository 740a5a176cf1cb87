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
  /** One request at a time may add to an upload. */
  busy: boolean;
}

/** Blobs that are on their way in; they lie in temporary files until their digest is known. */
export interface Uploads extends AsyncDisposable {
  start(repository: string): Promise<string>;
  get(repository: string, id: string): Upload | undefined;
  end(id: string): Promise<void>;
}

const MAX_UPLOADS = 1000;

export function createUploads(): Uploads {
  const uploads = new Map<string, Upload>();
  let folder: Promise<string> | undefined;
  return {
    async start(repository) {
      if (uploads.size >= MAX_UPLOADS) throw new ProtocolError(429, "DENIED", "too many uploads");
      folder ??= mkdtemp(join(tmpdir(), "stowage-uploads-"));
      const id = randomUUID();
      const path = join(await folder, id);
      await (await open(path, "wx", 0o600)).close();
      uploads.set(id, { repository, path, received: 0, busy: false });
      return id;
    },
    get(repository, id) {
      const upload = uploads.get(id);
      return upload?.repository === repository ? upload : undefined;
    },
    async end(id) {
      const upload = uploads.get(id);
      uploads.delete(id);
      if (upload) await rm(upload.path, { force: true });
    },
    async [Symbol.asyncDispose]() {
      if (folder) await rm(await folder, { recursive: true, force: true });
    },
  };
}
