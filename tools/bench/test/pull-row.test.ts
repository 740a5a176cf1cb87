import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { benchList } from "../src/list-row.ts";
import { benchPull } from "../src/pull-row.ts";
import { formatTable } from "../src/result-table.ts";
import { isMet, summarize } from "../src/summarize.ts";
import { SOURCE_MAIN } from "./support/source-main.ts";

const main = SOURCE_MAIN;
const NEEDED = ["docker-registry", "tar", "gzip", "skopeo", "umoci", "podman"];
const MISSING = [
  ...(process.getuid?.() === 0 ? [] : ["root"]),
  ...NEEDED.filter((name) => !hasPeer(name)),
];
const WHY_NOT = MISSING.length === 0 ? "" : ` (lacks ${MISSING.join(", ")})`;
const options = { size: 1, layers: 1, pairs: 1, places: ["disk"], main } as const;

describe.skipIf(MISSING.length > 0)(`pulls${WHY_NOT}`, () => {
  test("an image of real files is pulled by both, and what each took is measured", async () => {
    const [found, ...others] = await benchPull("tiny", { ...options, peers: ["skopeo+umoci"] });
    expect(others).toEqual([]);
    expect(found).toMatchObject({ row: "tiny", peer: "skopeo+umoci", place: "disk", target: 1 });
    expect(found?.failure).toBeUndefined();
    for (const value of [found?.ratio, found?.cpuRatio, found?.oursPeakBytes])
      expect(value).toBeGreaterThan(0);
  });

  test("a peer that can not do it is told of, and stops no other", async () => {
    const found = await benchPull("tiny", { ...options, peers: ["nobody", "skopeo+umoci"] });
    expect(found.map(({ failure }) => failure !== undefined)).toEqual([true, false]);
    expect(formatTable(found)).toContain("tiny, nobody: no peer nobody");
  });

  const CONTAINERD = ["containerd", "ctr", "curl"].filter((name) => !hasPeer(name));
  test.skipIf(CONTAINERD.length > 0)(
    "containerd unpacks the same, whichever client asks it, and what makes it durable is told",
    async () => {
      const peers = ["containerd", "containerd-cri", "containerd-cri-durable"];
      const found = await benchPull("tiny", { ...options, peers });
      expect(found.map(({ failure }) => failure)).toEqual([undefined, undefined, undefined]);
      expect(found.map(({ setting }) => setting !== undefined)).toEqual([false, false, true]);
    },
  );

  test("a peer's durable setting is asked for on disk alone", async () => {
    const peers = ["podman-durable"];
    expect(await benchPull("tiny", { ...options, peers, places: ["tmpfs"] })).toEqual([]);
  });

  test("a store of many images lists all of them", async () => {
    const found = await benchList({ ...options, scale: 0.002 });
    expect(found).toMatchObject({ row: "list" });
  });
});

test("a ratio is told as the median of the pairs, with the least and the most", () => {
  const cost = (milliseconds: number) => ({ milliseconds, cpuMs: milliseconds, peakBytes: 1 });
  const compared = {
    ours: [cost(1), cost(2), cost(6)],
    theirs: [cost(4), cost(4), cost(4)],
    ratio: 0.5,
    ratios: [0.25, 0.5, 1.5],
  };
  const found = summarize({ row: "r", target: 1 }, compared);
  expect(found).toMatchObject({ ratioMin: 0.25, ratioMax: 1.5, oursMs: 2, cpuRatio: 0.5 });
  expect(formatTable([found])).toMatch(/0\.50 \(0\.25–1\.50\)\s+1\.00 met/);
});

test("a row with a target for processor time is met only if both are", () => {
  const row = {
    row: "r",
    target: 1 / 4,
    oursMs: 1,
    theirsMs: 4,
    oursPeakBytes: 1,
    theirsPeakBytes: 1,
  };
  expect(isMet({ ...row, ratio: 0.2, cpuRatio: 0.5 })).toBe(true);
  expect(isMet({ ...row, ratio: 0.2, cpuRatio: 0.3, cpuTarget: 1 / 3 })).toBe(true);
  expect(isMet({ ...row, ratio: 0.2, cpuRatio: 0.5, cpuTarget: 1 / 3 })).toBe(false);
  expect(isMet({ ...row, ratio: 0.3, cpuRatio: 0.1, cpuTarget: 1 / 3 })).toBe(false);
});
