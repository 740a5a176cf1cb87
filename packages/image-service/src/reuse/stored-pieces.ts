import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

import type { ByteSource, Digest } from "@stowage/content";
import type { BlobStore } from "@stowage/store";

/** Bytes of a blob that is here. */
export interface StoredPiece {
  readonly digest: Digest;
  readonly offset: number;
  readonly length: number;
}

const READ_BYTES = 256 * 1024;

/** Reads pieces of blobs that are here, each of which is opened once. */
export class StoredPieces implements AsyncDisposable {
  readonly #blobs: BlobStore;
  readonly #open = new Map<Digest, Promise<FileHandle>>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** @throws Error where there are fewer bytes than there should be. */
  async *read({ digest, offset, length }: StoredPiece): ByteSource {
    const file = await this.#file(digest);
    for (let done = 0; done < length;) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, length - done));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset + done);
      if (bytesRead === 0) throw new Error(`${digest}: no byte ${offset + done}`);
      done += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of await Promise.allSettled(this.#open.values())) {
      if (opened.status === "fulfilled") await opened.value.close();
    }
  }

  #file(digest: Digest): Promise<FileHandle> {
    const known = this.#open.get(digest);
    if (known !== undefined) return known;
    const opened = open(this.#blobs.path(digest), constants.O_RDONLY | constants.O_NOFOLLOW);
    this.#open.set(digest, opened);
    return opened;
  }
}
