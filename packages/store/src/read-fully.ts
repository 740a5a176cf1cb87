import { readSync } from "node:fs";

/**
 * Fills a buffer from a file, beginning at `position`: a read may give less than there is.
 *
 * @returns How many bytes there are; fewer than the buffer has only at the end of the file.
 */
export function readFully(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const bytes = readSync(fd, into, done, into.length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}
