import { createReadStream } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";

import { algorithmOf, createDigester, type Digest } from "@stowage/content";

import { cleanPath } from "../layer/safe-path.ts";
import { DEFAULT_LAYER_LIMITS } from "../layer/layer-limits.ts";
import type { LayerFiles } from "../layer/layer-files.ts";
import type { TarSplitLine } from "./tar-split.ts";

const READ_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
/** A header may be a megabyte, and is a third longer in base64; what is between is padding. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/**
 * Puts an archive together as a reader of tar-split does, and answers its digest.
 *
 * @param like - Tells the algorithm.
 */
export async function digestOfJoined(
  tarSplitPath: string,
  files: LayerFiles,
  like: Digest,
  signal?: AbortSignal,
): Promise<Digest> {
  const digester = createDigester(algorithmOf(like));
  for await (const line of readTarSplit(createReadStream(tarSplitPath))) {
    signal?.throwIfAborted();
    const { type, payload, size = 0, ...named } = line;
    if (type === 2) digester.update(Buffer.from(payload ?? "", "base64"));
    else if (size > 0) digestFile(digester, files, pathOfEntry(named));
  }
  return digester.digest();
}

/**
 * Where the content of an entry is found, one character for each byte.
 *
 * @throws {@link StoreError} As {@link cleanPath} does.
 */
export function pathOfEntry({ name, name_raw }: Pick<TarSplitLine, "name" | "name_raw">): string {
  const bytes = name === undefined ? Buffer.from(name_raw ?? "", "base64") : Buffer.from(name);
  const path = cleanPath(bytes.toString("latin1"), DEFAULT_LAYER_LIMITS);
  return path.directory === "" ? path.name : `${path.directory}/${path.name}`;
}

function digestFile(
  digester: ReturnType<typeof createDigester>,
  files: LayerFiles,
  path: string,
): void {
  using file = files.open(path);
  if (file === undefined) return;
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let position = 0; ;) {
    const bytes = file.read(buffer, position);
    if (bytes === 0) return;
    digester.update(buffer.subarray(0, bytes));
    position += bytes;
  }
}

/**
 * The lines of a tar-split file.
 *
 * @throws SyntaxError, RangeError or zlib's errors where it is damaged.
 */
export async function* readTarSplit(
  packed: Readable,
): AsyncGenerator<TarSplitLine, void, undefined> {
  for await (const line of readLines(packed)) yield JSON.parse(line.toString()) as TarSplitLine;
}

async function* readLines(packed: Readable): AsyncGenerator<Buffer, void, undefined> {
  const gunzip = createGunzip();
  // Its errors come out of the iteration below, since the pipeline destroys it with them.
  pipeline(packed, gunzip, () => {});
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield Buffer.concat([...pieces, chunk.subarray(start, end)]);
      pieces = [];
      length = 0;
      start = end + 1;
    }
    pieces.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > MAX_LINE_BYTES) throw new RangeError(`a line over ${MAX_LINE_BYTES} bytes`);
  }
}
