import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { realFiles, SMALL_FILE_SOURCES, takeBytes } from "./real-files.ts";

/** An archive of files of this machine, and how it is packed. */
export interface Sample {
  readonly tar: Buffer;
  readonly gzip: Buffer;
  readonly zstd: Buffer;
  /** The packed ones as files. */
  readonly gzipFile: string;
  readonly zstdFile: string;
}

const SAMPLE_BYTES = 100e6;
const MAX_FILE_BYTES = 256 * 1024;

const run = promisify(execFile);

/** @param scale - Which part of 100 MB. */
export async function makeSample(folder: string, scale: number): Promise<Sample> {
  const files = takeBytes(realFiles(SMALL_FILE_SOURCES, MAX_FILE_BYTES), SAMPLE_BYTES * scale);
  const [list, tar] = [join(folder, "list"), join(folder, "sample.tar")];
  await writeFile(list, files.map(({ path }) => `${path.slice(1)}\n`).join(""));
  await run("tar", ["-C", "/", "--verbatim-files-from", "-T", list, "-cf", tar]);
  await run("gzip", ["-nk", tar]);
  await run("zstd", ["-qk", "-3", tar]);
  const [gzipFile, zstdFile] = [`${tar}.gz`, `${tar}.zst`];
  return {
    tar: await readFile(tar),
    gzip: await readFile(gzipFile),
    zstd: await readFile(zstdFile),
    gzipFile,
    zstdFile,
  };
}

/** The pieces of a buffer, as a transport delivers them. */
export function* piecesOf(bytes: Buffer, length: number): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
