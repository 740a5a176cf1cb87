import type { ByteSource } from "@stowage/content";

/** Writes chunks one behind the other, the first at `position`. */
export type WriteChunks = (chunks: readonly Uint8Array[], position: number) => Promise<void>;

// Each write is a call to another thread, which takes as long as a chunk takes to come.
const BATCH_BYTES = 256 * 1024;

/**
 * Writes what a source delivers in large pieces, the one while the next is read. Resolves when all is
 * written; when it rejects, nothing is being written any more.
 *
 * @param onProgress - told how many bytes have been written.
 * @returns the number of bytes.
 */
export async function writeBehind(
  source: ByteSource,
  write: WriteChunks,
  onProgress?: (written: number) => void,
): Promise<number> {
  let batch: Uint8Array[] = [];
  let length = 0;
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await writing;
    if (length === 0) return;
    const end = position + length;
    writing = write(batch, position).then(() => onProgress?.(end));
    // Heard of at the next turn.
    writing.catch(() => {});
    position = end;
    batch = [];
    length = 0;
  };
  try {
    for await (const chunk of source) {
      if (chunk.byteLength === 0) continue;
      batch.push(chunk);
      length += chunk.byteLength;
      if (length >= BATCH_BYTES) await flush();
    }
    await flush();
    await writing;
    return position;
  } catch (error) {
    await writing.catch(() => {});
    throw error;
  }
}
