import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";

import { algorithmOf, createDigester, type Digest } from "@stowage/content";

import { cleanPath } from "../layer/safe-path.ts";
import { DEFAULT_LAYER_LIMITS } from "../layer/layer-limits.ts";
import type { LayerFiles } from "../layer/layer-files.ts";
import type { TarSplitLine } from "./tar-split.ts";

const READ_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

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
  for await (const line of readLines(tarSplitPath)) {
    signal?.throwIfAborted();
    const { type, payload, size = 0, ...named } = JSON.parse(line.toString()) as TarSplitLine;
    if (type === 2) digester.update(Buffer.from(payload ?? "", "base64"));
    else if (size > 0) digestFile(digester, files, nameOf(named));
  }
  return digester.digest();
}

function nameOf({ name, name_raw }: Pick<TarSplitLine, "name" | "name_raw">): string {
  const bytes = name === undefined ? Buffer.from(name_raw ?? "", "base64") : Buffer.from(name);
  const path = cleanPath(bytes, DEFAULT_LAYER_LIMITS);
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

async function* readLines(path: string): AsyncGenerator<Buffer, void, undefined> {
  const gunzip = createGunzip();
  // Its errors come out of the iteration below, since the pipeline destroys it with them.
  pipeline(createReadStream(path), gunzip, () => {});
  let rest = Buffer.alloc(0);
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = Buffer.from(bytes.subarray(start));
  }
}
