import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { GROWTH_CURVES, type GrowthPoint } from "../src/growth-curves.ts";
import { exponentOf, verdictOn } from "../src/growth-fit.ts";
import { plotGrowth } from "../src/growth-plot.ts";
import { scaled } from "../src/growth-report.ts";
import { SOURCE_MAIN } from "./support/source-main.ts";

const CAN_RUN = process.getuid?.() === 0 && hasPeer("docker-registry");
const WHY_NOT = CAN_RUN ? "" : " (needs root and docker-registry)";
const SIZES = [10, 30, 100, 300, 1000, 5000];

describe("the exponent of growth", () => {
  test.for([
    ["nothing", (): number => 150, 0],
    ["size, above a fixed cost", (size: number): number => 150 + 0.2 * size, 1],
    ["size, alone", (size: number): number => 3 * size, 1],
    ["the square root", (size: number): number => 10 * Math.sqrt(size), 0.5],
    ["the square, above a fixed cost", (size: number): number => 150 + 0.001 * size ** 2, 2],
  ] as const)("is found for what grows with %s", ([, cost, exponent]) => {
    const found = exponentOf(curveOf(cost)) ?? Number.NaN;
    expect(Math.abs(found - exponent)).toBeLessThan(0.08);
  });

  test("is that of whole processes, where a second one is free and each costs the same", () => {
    const points = [1, 2, 4, 8, 16].map((size) => pointOf(size, 250 * Math.max(2, size)));
    expect(verdictOn(exponentOf(points, 0))).toMatch(/^linear/);
    const waiting = points.map(({ size, milliseconds }) =>
      pointOf(size, milliseconds * size ** 0.3),
    );
    expect(verdictOn(exponentOf(waiting, 0))).toMatch(/^worse/);
  });

  test("is not told from two sizes", () => {
    expect(exponentOf(curveOf((size) => size).slice(0, 2))).toBeUndefined();
    expect(verdictOn(undefined)).toContain("too few");
  });

  test("of a flat curve with noise is below that of linear growth", () => {
    const noise = [1.05, 0.95, 1.02, 0.97, 1.05, 1.1];
    const points = SIZES.map((size, at) => pointOf(size, 150 * (noise[at] ?? 1)));
    expect(verdictOn(exponentOf(points))).toMatch(/^better than linear/);
  });

  test("of what grows a little faster than linearly, above a fixed cost, is called worse", () => {
    const points = curveOf((size) => 150 + 0.2 * size ** 1.25);
    expect(verdictOn(exponentOf(points))).toMatch(/^worse/);
  });

  test.for([
    [1.1, "linear"],
    [1.11, "worse"],
    [0.5, "better"],
  ] as const)("of %s is called %s", ([exponent, word]) => {
    expect(verdictOn(exponent)).toMatch(new RegExp(`^${word}`));
  });
});

test("sizes are scaled, none below 1 and none twice", () => {
  expect(scaled([1, 5, 20, 500], 0.1)).toEqual([1, 2, 50]);
});

test("a plot has a panel for each curve, as XML, with what was measured", () => {
  const points = curveOf((size) => 100 + size);
  const curve = { name: "c", title: "a < b & c", unit: "things", points, verdict: "linear" };
  const svg = plotGrowth([curve, curve]);
  expect(svg.match(/<polyline class="curve"/g)).toHaveLength(2);
  expect(svg).toContain("a &lt; b &amp; c");
  expect(svg).toContain("prefers-color-scheme: dark");
  expect(svg).toContain("<title>5,000: 5100 ms</title>");
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

describe.skipIf(!CAN_RUN)(`curves${WHY_NOT}`, () => {
  test.for([
    ["files", [150]],
    ["layers", [1, 3]],
    ["listing", [4]],
    ["pull-among", [2]],
    ["concurrent", [2]],
  ] as const)("%s: each size is measured", async ([name, sizes]) => {
    const options = { runs: 1, main: SOURCE_MAIN };
    const points = (await GROWTH_CURVES[name]?.measure(sizes, options)) ?? [];
    expect(points.map(({ size }) => size)).toEqual(sizes);
    for (const { milliseconds, cpuMs, peakBytes } of points)
      expect(Math.min(milliseconds, cpuMs, peakBytes)).toBeGreaterThan(0);
  });
});

function curveOf(cost: (size: number) => number): readonly GrowthPoint[] {
  return SIZES.map((size) => pointOf(size, cost(size)));
}

function pointOf(size: number, milliseconds: number): GrowthPoint {
  const [least, most] = [milliseconds * 0.9, milliseconds * 1.1];
  return { size, milliseconds, least, most, cpuMs: milliseconds, peakBytes: 1 };
}
