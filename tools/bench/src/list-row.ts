import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { compare } from "./compare.ts";
import { multiplyImages } from "./many-images.ts";
import { commandOf, measureProcess } from "./measure-process.ts";
import { stowagePuller } from "./pullers.ts";
import { layersOf } from "./real-image.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT, placeDir, setStage, writeOpenPolicy } from "./stage.ts";
import { summarize } from "./summarize.ts";

const IMAGES = 5000;
const TARGET_MS = 500;

const run = promisify(execFile);

/** `stowage images` in a store of 5,000, against a program that takes as long as it may. */
export async function benchList(options: RowOptions): Promise<RowResult> {
  const { pairs, scale = 1, main = BUILT } = options;
  const count = Math.max(2, Math.round(IMAGES * scale));
  await using stage = await setStage(layersOf("tiny", 1), "gzip", main);
  await using folder = await placeDir("tmpfs");
  const policy = await writeOpenPolicy(folder.path);
  await using puller = await stowagePuller(main)(folder.path, policy);
  await puller.reset();
  await measureProcess(puller.pull(stage.reference));
  const root = join(folder.path, "stowage");
  await multiplyImages(root, count);
  const listing = commandOf(main, "--root", root, "--run-root", `${root}-run`, "images");
  const { stdout } = await run(listing.program, listing.args, { maxBuffer: 64 * 1024 * 1024 });
  const lines = stdout.trimEnd().split("\n").length - 1;
  if (lines !== count) throw new Error(`${lines} of ${count} images are listed`);
  const allowed = `setTimeout(() => {}, ${TARGET_MS})`;
  const compared = await compare({
    pairs,
    ours: async () => listing,
    theirs: async () => ({ program: process.execPath, args: ["-e", allowed] }),
  });
  return summarize({ row: "list", peer: `${TARGET_MS} ms`, place: "tmpfs", target: 1 }, compared);
}
