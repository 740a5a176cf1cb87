/** All chunks in one. */
export async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

/** What unpacking comes to: the bytes, or the code of the error. */
export async function outcome(run: () => Promise<Buffer>): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

/** Pieces of a size. */
export function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** The same bytes, but for one bit. */
export function flip(bytes: Buffer, position: number, bit = 0): Buffer {
  return Buffer.from(bytes.with(position, (bytes[position] ?? 0) ^ (1 << bit)));
}

/** As files are read: what the next chunk is asked for overwrites the one before. */
export function* inOneBuffer(chunks: readonly Buffer[]): Generator<Buffer, void, undefined> {
  const buffer = Buffer.alloc(Math.max(0, ...chunks.map(({ length }) => length)));
  for (const chunk of chunks) {
    buffer.fill(0xff);
    yield buffer.subarray(0, chunk.copy(buffer));
  }
}
