/**
 * A layer of a store of containers/storage, put together again as the archive that it was made from.
 *
 * @module
 */
import { createReadStream } from "node:fs";

import { algorithmOf, createDigester, type Digest, escapeText } from "@stowage/content";

import { type LayerFile, type LayerFiles, layerFilesIn } from "../layer/layer-files.ts";
import { StoreError } from "../store-error.ts";
import { Crc64 } from "./crc64.ts";
import type { ForeignRoot } from "./foreign-root.ts";
import { pathOfEntry, readTarSplit } from "./join-tar-split.ts";
import type { TarSplitLine } from "./tar-split.ts";

/** A layer as its store names it. */
export interface ForeignLayer {
  /** 64 hex digits. */
  readonly id: string;
  /** Of the archive, uncompressed. */
  readonly diffID: Digest;
}

/** Where a layer's parts are, from the root of its store. */
export interface LayerPlaces {
  readonly tree: string;
  readonly tarSplit: string;
}

const READ_BYTES = 256 * 1024;
const HINT = "It is podman's own store that is damaged: remove the image there, and pull it again.";

/**
 * The archive of a layer, byte by byte. The last chunk has been passed on before it is known whether
 * all was right.
 *
 * @param maxBytes - Of the archive.
 * @throws {@link StoreError} `ERR_STORE_DIFF_ID_MISMATCH` with the first path that is wrong;
 *   `ERR_STORE_LAYER_NOT_FOUND` if the layer, or what it takes to join it, is not there;
 *   `ERR_STORE_CORRUPT` for a damaged tar-split file; `ERR_STORE_LIMIT_EXCEEDED`.
 */
export async function* joinLayer(
  root: ForeignRoot,
  layer: ForeignLayer,
  places: LayerPlaces,
  { maxBytes, signal }: { readonly maxBytes: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array, void, undefined> {
  using files = openTree(root, layer, places);
  const digester = createDigester(algorithmOf(layer.diffID));
  let length = 0;
  for await (const chunk of joinFiles(root, layer, places, files)) {
    signal?.throwIfAborted();
    length += chunk.byteLength;
    if (length > maxBytes) {
      const message = `layer ${layer.id} makes more than ${maxBytes} bytes`;
      throw new StoreError("ERR_STORE_LIMIT_EXCEEDED", message);
    }
    digester.update(chunk);
    yield chunk;
  }
  const found = digester.digest();
  if (found === layer.diffID) return;
  const path = await findWrong(root, layer, places, files, signal);
  const what = path === undefined ? "what is between its files" : `"${escapeText(path)}"`;
  throw mismatch(layer, `${what} is not as it was; all makes ${found}`);
}

async function* joinFiles(
  root: ForeignRoot,
  layer: ForeignLayer,
  places: LayerPlaces,
  files: LayerFiles,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const line of readLines(root, layer, places)) {
    if (line.type === 2) {
      yield Buffer.from(line.payload ?? "", "base64");
      continue;
    }
    if (line.size === 0) continue;
    const path = pathOf(line, layer);
    using file = openFile(files, path, line.size, layer);
    yield* readFile(file, line.size, () => missing(layer, path));
  }
}

/** The first file whose content is another than it was. */
async function findWrong(
  root: ForeignRoot,
  layer: ForeignLayer,
  places: LayerPlaces,
  files: LayerFiles,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  for await (const line of readLines(root, layer, places)) {
    signal?.throwIfAborted();
    if (line.type === 2 || line.size === 0) continue;
    const path = pathOf(line, layer);
    const checksum = new Crc64();
    using file = openFile(files, path, line.size, layer);
    for (const chunk of readFile(file, line.size, () => missing(layer, path))) {
      checksum.update(chunk);
    }
    if (checksum.digest().toString("base64") !== line.payload) return shown(path);
  }
  return undefined;
}

interface CheckedLine extends TarSplitLine {
  readonly size: number;
}

async function* readLines(
  root: ForeignRoot,
  layer: ForeignLayer,
  places: LayerPlaces,
): AsyncGenerator<CheckedLine, void, undefined> {
  const fd = root.openFile(places.tarSplit);
  if (fd === undefined) {
    throw new StoreError(
      "ERR_STORE_LAYER_NOT_FOUND",
      `layer ${layer.id} can not be joined: its store keeps no tar-split of it`,
      { hint: "Push the image with podman, which packs the layer anew, under another digest." },
    );
  }
  try {
    for await (const line of readTarSplit(createReadStream("", { fd }))) yield checkLine(line);
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    const reason = cause instanceof Error ? escapeText(cause.message) : "unreadable";
    const message = `layer ${layer.id}: its tar-split file is damaged: ${reason}`;
    throw new StoreError("ERR_STORE_CORRUPT", message, { cause, hint: HINT });
  }
}

function checkLine(line: unknown): CheckedLine {
  const given = (line ?? {}) as Partial<TarSplitLine>;
  const { type, size = 0, payload = null, name, name_raw, position = 0 } = given;
  const isText = (text: unknown): boolean => text === undefined || typeof text === "string";
  const isSound =
    (type === 1 || type === 2) &&
    Number.isSafeInteger(size) &&
    size >= 0 &&
    (payload === null || typeof payload === "string") &&
    isText(name) &&
    isText(name_raw);
  if (!isSound) throw new TypeError("a line that is none");
  return {
    type,
    size,
    payload,
    position,
    ...(name !== undefined && { name }),
    ...(name_raw !== undefined && { name_raw }),
  };
}

function openTree(root: ForeignRoot, layer: ForeignLayer, { tree }: LayerPlaces): LayerFiles {
  const fd = root.openDirectory(tree);
  if (fd !== undefined) return layerFilesIn(fd);
  const message = `layer ${layer.id}: its files are not at ${escapeText(tree)}`;
  throw new StoreError("ERR_STORE_LAYER_NOT_FOUND", message, { hint: HINT });
}

function openFile(files: LayerFiles, path: string, size: number, layer: ForeignLayer): LayerFile {
  const file = files.open(path);
  if (file === undefined) throw missing(layer, path);
  if (file.size === size) return file;
  file[Symbol.dispose]();
  throw mismatch(layer, `"${shown(path)}" has ${file.size} bytes, not ${size}`);
}

function* readFile(
  file: LayerFile,
  size: number,
  shrunk: () => StoreError,
): Generator<Buffer, void, undefined> {
  for (let position = 0; position < size;) {
    // In memory of its own: readers hold on to one while they ask for the next.
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, size - position));
    const bytes = file.read(buffer, position);
    if (bytes === 0) throw shrunk();
    position += bytes;
    yield buffer.subarray(0, bytes);
  }
}

function pathOf(line: TarSplitLine, layer: ForeignLayer): string {
  try {
    return pathOfEntry(line);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : "unreadable";
    const message = `layer ${layer.id}: its tar-split file has ${reason}`;
    throw new StoreError("ERR_STORE_CORRUPT", message, { cause, hint: HINT });
  }
}

function missing(layer: ForeignLayer, path: string): StoreError {
  return mismatch(layer, `"${shown(path)}" is no file any more`);
}

function mismatch({ id, diffID }: ForeignLayer, what: string): StoreError {
  const message = `layer ${id} no longer makes ${diffID}: ${what}`;
  return new StoreError("ERR_STORE_DIFF_ID_MISMATCH", message, { hint: HINT });
}

/** A path, of which each character is a byte, for messages. */
function shown(path: string): string {
  return escapeText(Buffer.from(path, "latin1").toString());
}
