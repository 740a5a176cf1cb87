import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { ByteSource } from "@stowage/content";

import { guarded } from "./file-failure.ts";

/** Writes beside the place, syncs, and moves there: whoever looks sees all of it or nothing. */
export async function writeDurably(
  path: string,
  source: ByteSource,
  onProgress?: (written: number) => void,
): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(8).toString("hex")}.partial`);
  try {
    {
      await using file = await guarded(temporary, () => open(temporary, "wx", 0o644));
      let written = 0;
      for await (const chunk of source) {
        await guarded(temporary, () => writeWhole(file, chunk, written));
        written += chunk.byteLength;
        onProgress?.(written);
      }
      await guarded(temporary, () => file.sync());
    }
    await guarded(path, () => rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all of a chunk at a position, which one call need not do. */
export async function writeWhole(
  file: FileHandle,
  chunk: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < chunk.byteLength;) {
    const length = chunk.byteLength - done;
    const { bytesWritten } = await file.write(chunk, done, length, position + done);
    done += bytesWritten;
  }
}
