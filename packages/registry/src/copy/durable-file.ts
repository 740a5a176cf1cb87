import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

import type { ByteSource } from "@stowage/content";

import { partialPath } from "../partial-file.ts";
import { guarded } from "./file-failure.ts";
import { writeBehind } from "./write-behind.ts";

/**
 * Writes beside the place, syncs, and moves there: whoever looks sees all of it or nothing. What a
 * kill leaves beside it is for `removeDeadPartials`.
 */
export async function writeDurably(
  path: string,
  source: ByteSource,
  onProgress?: (written: number) => void,
): Promise<void> {
  const temporary = await partialPath(dirname(path));
  try {
    {
      await using file: FileHandle = await guarded(temporary, () => open(temporary, "wx", 0o644));
      const write = (chunks: readonly Uint8Array[], position: number): Promise<void> =>
        guarded(temporary, () => writeAll(file, chunks, position));
      await writeBehind(source, write, onProgress);
      await guarded(temporary, () => file.sync());
    }
    await guarded(path, () => rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all of some chunks at a position, which one call need not do. */
export async function writeAll(
  file: FileHandle,
  chunks: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let left = [...chunks];
  for (let at = position; left.length > 0;) {
    const { bytesWritten } = await file.writev(left, at);
    at += bytesWritten;
    left = dropBytes(left, bytesWritten);
  }
}

function dropBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  const kept: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (left < chunk.byteLength) kept.push(chunk.subarray(left));
    left = Math.max(left - chunk.byteLength, 0);
  }
  return kept;
}
