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
