import { describe, expect, test } from "vitest";

import { openLayerBench } from "../support/layer-bench.ts";
import { type RawEntry, rawTar } from "../support/raw-tar.ts";

describe("symbolic links that point out of the layer", () => {
  test("T04 files below them land inside", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpack(
      rawTar(
        { name: "d", type: "2", link: bench.canary },
        { name: "d/x", body: "inside" },
        { name: "e", type: "2", link: "../../../../../../etc" },
        { name: "e/shadow", body: "inside" },
      ),
    );
    expect(Object.keys(tree)).toContain(`${bench.canary.slice(1)}/x`);
    expect(Object.keys(tree)).toContain("etc/shadow");
  });

  test("T07 V44 what has a link's name replaces the link", async () => {
    await using bench = await openLayerBench();
    const link = `${bench.canary}/file`;
    const names = ["a", "b", "c"];
    const { tree } = await bench.unpack(
      rawTar(
        ...names.map((name): RawEntry => ({ name, type: "2", link, uid: 9, mode: 0o777 })),
        { name: "a", body: "own", mode: 0o600 },
        { name: "b", type: "5", mode: 0o700 },
        { name: ".wh.c" },
      ),
    );
    expect(tree["a"]).toContain("100600");
    expect(tree["b"]).toContain("40700");
  });

  test("T15 whiteouts and opaque marks below them stay inside", async () => {
    await using bench = await openLayerBench();
    await bench.unpack(
      rawTar(
        { name: "d", type: "2", link: bench.canary },
        { name: "d/.wh.f" },
        { name: "d/.wh..wh..opq" },
      ),
    );
  });

  test.for([
    ["two links in a circle", { a: "b", b: "a" }],
    ["a link to itself", { a: "a" }],
    [
      "41 hops",
      Object.fromEntries(Array.from({ length: 41 }, (_, n) => [n ? `l${n}` : "a", `l${n + 1}`])),
    ],
  ] as const)("T05 %s are refused", async ([, links]) => {
    await using bench = await openLayerBench();
    const entries = Object.entries(links).map(([name, link]) => ({ name, type: "2", link }));
    const refusal = await bench.refusalOf(rawTar(...entries, { name: "a/x" }));
    expect(refusal).toMatchObject({ kind: "LayerInvalid" });
  });

  test("T05 40 links to the directory above stay in the root", async () => {
    await using bench = await openLayerBench();
    const links = Array.from({ length: 40 }, (_, n): RawEntry => ({
      name: `d${n}`,
      type: "2",
      link: "..",
    }));
    const { tree } = await bench.unpackPacked(
      rawTar(...links, {
        name: "x",
        pax: [["path", `${links.map(({ name }) => name).join("/")}/canary/x`]],
      }),
    );
    expect(Object.keys(tree)).toContain("canary/x");
  });

  test("T08 a link with a target of 4095 bytes is taken as it is", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar({ name: "l", type: "2", pax: [["linkpath", "t".repeat(4095)]] }),
    );
    expect(tree["l"]).toContain("t".repeat(4095));
  });

  test.for([
    ["no target", ""],
    ["a target of 4096 bytes", "t".repeat(4096)],
    ["a target with NUL", "a\0b"],
  ] as const)("T08 a link with %s is refused", async ([, target]) => {
    await using bench = await openLayerBench();
    const entry: RawEntry = {
      name: "l",
      type: "2",
      ...(target && { pax: [["linkpath", target]] }),
    };
    expect(await bench.refusalOf(rawTar(entry))).toMatchObject({ kind: "LayerInvalid" });
  });

  test.for(["0", "3", "6"])(
    "T43 a parent that is no directory (type %s) is refused",
    async (type) => {
      await using bench = await openLayerBench();
      const refusal = await bench.refusalOf(rawTar({ name: "p", type, major: 1 }, { name: "p/x" }));
      expect(refusal).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
    },
  );

  test("T44 V63 an image may make links and fifos of what a runtime mounts on: nothing follows them", async () => {
    await using bench = await openLayerBench();
    const names = ["dev", "proc", "sys", "etc", "run"];
    const { tree } = await bench.unpackPacked(
      rawTar(
        ...names.map((name): RawEntry => ({ name, type: "2", link: bench.canary })),
        { name: "etc", type: "5" },
        { name: "etc/passwd", type: "6" },
        { name: "etc/resolv.conf", type: "2", link: `${bench.canary}/file` },
      ),
    );
    expect(tree["dev"]).toContain(bench.canary);
    expect(tree["etc/passwd"]).toMatch(/^10644 /);
    expect(tree["etc/resolv.conf"]).toContain(`${bench.canary}/file`);
  });
});
