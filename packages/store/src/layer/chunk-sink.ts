/** Takes bytes in memory of its own. */
export interface ChunkSink {
  /** Where the next bytes go; the same until something is committed. */
  reserve(): Buffer;
  /** Takes the first `length` bytes of what was reserved. */
  commit(length: number): void;
}

/** Puts bytes that lie elsewhere into a sink. */
export function writeChunk(sink: ChunkSink, chunk: Buffer): void {
  for (let done = 0; done < chunk.length;) {
    const length = chunk.copy(sink.reserve(), 0, done);
    sink.commit(length);
    done += length;
  }
}
