import { spawn } from "node:child_process";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

const path = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
  .map((names) => names.join("/"));
const entry: fc.Arbitrary<RawEntry> = fc.oneof(
  path.map((name) => ({ name, type: "5" })),
  path.map((name) => ({ name, body: name })),
  path.map((name) => ({ name: name.replace(/[^/]*$/, ".wh.$&") })),
  path.map((name) => ({ name: `${name}/.wh..wh..opq` })),
  fc.tuple(path, path).map(([name, link]) => ({ name, type: "1", link })),
  fc.tuple(path, path).map(([name, link]) => ({ name, type: "2", link: `/${link}` })),
  fc
    .tuple(path, fc.constantFrom("..", ".", "../..", "/"))
    .map(([name, link]) => ({ name, type: "2", link })),
);

describe("open directories that are kept", () => {
  test("V46 make no difference: any archive comes to what it is without them", async () => {
    await using bench = await openLayerBench();
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 14 }), async (entries) => {
        // Many other directories push each kept one out before the next entry.
        const others = (round: number): RawEntry[] =>
          Array.from({ length: 33 }, (_, n) => ({ name: `other/${round % 2}-${n}/f` }));
        const forgetful = entries.flatMap((one, round) => [...others(round), one]);
        const [kept, forgotten] = await Promise.all([
          outcome(bench.unpack(rawTar(...others(0), ...others(1), ...entries))),
          outcome(bench.unpack(rawTar(...others(0), ...others(1), ...forgetful))),
        ]);
        expect(kept).toEqual(forgotten);
      }),
      { numRuns: 40 },
    );
  });

  test("T46 V41 V45 a process that swaps directories for links leads nothing out", async () => {
    await using bench = await openLayerBench();
    const diff = `${bench.directory}/diff-1`;
    const script = `
      import ctypes, os, sys
      diff, canary = sys.argv[1:]
      while not os.path.isdir(diff + "/d"): pass
      os.symlink(canary, diff + "/swapped")
      libc = ctypes.CDLL(None)
      swaps = 0
      while os.path.exists(diff):
        done = libc.renameat2(-100, (diff + "/d").encode(), -100, (diff + "/swapped").encode(), 2)
        swaps += done == 0
        if swaps == 1000: print("swapped", flush=True)
    `.replaceAll(/^ {6}/gm, "");
    const entries = Array.from({ length: 6000 }, (_, n): RawEntry[] => [
      { name: `d/f${n}`, body: "x" },
      { name: `e${n % 40}/x` },
      { name: `d/l${n}`, type: "1", link: `d/f${n}` },
      { name: "d", type: "5", mode: 0o700, uid: 5 },
    ]).flat();
    const child = spawn("python3", ["-c", script, diff, bench.canary], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
    try {
      await outcome(bench.unpack(rawTar({ name: "d", type: "5" }, ...entries)));
      expect(said).toContain("swapped");
    } finally {
      child.kill();
      await new Promise((resolve) => child.on("close", resolve));
    }
  });
});

async function outcome(
  unpacked: Promise<{ tree: Readonly<Record<string, string>> }>,
): Promise<unknown> {
  try {
    const { tree } = await unpacked;
    return Object.fromEntries(Object.entries(tree).filter(([name]) => !name.startsWith("other")));
  } catch (error) {
    return (error as { kind?: unknown }).kind ?? String(error);
  }
}
