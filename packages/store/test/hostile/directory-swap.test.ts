import { join } from "node:path";
import { performance } from "node:perf_hooks";

import { hasErrorCode } from "@stowage/content";
import { tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { removeTree } from "../../src/linux/tree.ts";
import { startSwapper } from "../support/directory-swapper.ts";
import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

const WANTED_SWAPS = 1000;
/** `long:swap` goes on for so long. */
const SECONDS = Number(process.env["STOWAGE_SWAP_SECONDS"] ?? 0);

// What takes `g` away has every directory opened anew.
const files = (n: number): RawEntry[] => [
  { name: "g" },
  { name: `d/f${n}`, body: "x" },
  { name: `e${n % 40}/x` },
  { name: "d", type: "5", mode: 0o700, uid: 5 },
];
// A link to what has just been swapped away ends the layer: few swaps, but in the middle of a call.
const ARCHIVES = [
  layer((n) => [...files(n), { name: `d/l${n}`, type: "1", link: `d/f${n}` }]),
  layer((n) => [...files(n), { name: `d/.wh.f${n - 1}` }, { name: `d/s/f${n}` }]),
];

test("T46 V41 V45 a process that swaps directories for links leads nothing out", async () => {
  await using bench = await openLayerBench();
  await using place = await tempDir("stowage-swapper-");
  await using swapper = await startSwapper(bench.canary, join(place.path, "board"));
  const start = performance.now();
  let [round, swaps, refused] = [0, 0, 0];
  for (; swaps < WANTED_SWAPS || performance.now() - start < SECONDS * 1000; round += 1) {
    const diffDir = join(bench.directory, `diff-${round + 1}`);
    const archive = ARCHIVES[round % ARCHIVES.length] ?? Buffer.alloc(0);
    swaps += await swapper.during(diffDir, async () => {
      try {
        await bench.unpackUnseen(archive);
      } catch (error) {
        if (!hasErrorCode(error, "ERR_STORE_INVALID_LAYER", "ERR_STORE_IO")) throw error;
        refused += 1;
      }
    });
    bench.assertUntouched();
    await removeTree(diffDir);
  }
  if (SECONDS > 0) console.log({ seconds: SECONDS, round, swaps, refused });
  expect(swaps).toBeGreaterThanOrEqual(WANTED_SWAPS);
});

function layer(entriesOf: (n: number) => RawEntry[]): Buffer {
  const entries = Array.from({ length: 2000 }, (_, n) => entriesOf(n)).flat();
  return rawTar({ name: "d", type: "5" }, ...entries);
}
