import { spawn } from "node:child_process";

import { expect, test } from "vitest";

import { compare, median } from "../src/compare.ts";
import { measureProcess } from "../src/measure-process.ts";

const node = (script: string) => ({ program: process.execPath, args: ["-e", script] });

test("the two take turns, after one run each that does not count, and each is checked", async () => {
  const order: string[] = [];
  const checked: number[] = [];
  const found = await compare({
    pairs: 2,
    ours: async (run) => (order.push(`ours ${run}`), node("0")),
    theirs: async (run) => (order.push(`theirs ${run}`), node("0")),
    check: async (run) => void checked.push(run),
  });
  expect(order.map((text) => text.split(" ")[0])).toEqual([
    "ours",
    "theirs",
    "ours",
    "theirs",
    "theirs",
    "ours",
  ]);
  expect(checked).toEqual([1, 2, 3, 4, 5, 6]);
  expect([found.ours.length, found.theirs.length]).toEqual([2, 2]);
});

test("a process's peak of memory is its own", async () => {
  const small = await measureProcess(node("setTimeout(() => {}, 100)"));
  const large = await measureProcess(
    node("globalThis.kept = Buffer.alloc(1e8, 1); setTimeout(() => {}, 100)"),
  );
  expect(large.peakBytes - small.peakBytes).toBeGreaterThan(8e7);
});

test("what a process and its children take of the processors counts", async () => {
  const spin =
    "const end = process.cpuUsage().user + 3e5; while (process.cpuUsage().user < end) for (let i = 0; i < 1e6; i += 1);";
  const child = `require("node:child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(spin)}])`;
  const { cpuMs } = await measureProcess(node(child));
  expect(cpuMs).toBeGreaterThanOrEqual(300);
});

test("a child counts, whichever thread of a process has started it", async () => {
  const large = "globalThis.kept = Buffer.alloc(1e8, 1); setTimeout(() => {}, 300)";
  const start = `require("node:child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(large)}])`;
  const thread = `new (require("node:worker_threads").Worker)(${JSON.stringify(start)}, { eval: true })`;
  const { peakBytes } = await measureProcess(node(thread));
  expect(peakBytes).toBeGreaterThan(1.5e8);
});

test("what a daemon takes for it counts as well", async () => {
  const busy = "setInterval(() => { const end = Date.now() + 50; while (Date.now() < end); }, 50)";
  const daemon = spawn(process.execPath, ["-e", busy]);
  try {
    const wait = node("setTimeout(() => {}, 500)");
    const alone = await measureProcess(wait);
    const both = await measureProcess({ ...wait, daemons: [daemon.pid ?? 0] });
    expect(both.cpuMs).toBeGreaterThan(alone.cpuMs);
    expect(both.peakBytes - alone.peakBytes).toBeGreaterThan(2e7);
  } finally {
    daemon.kill("SIGKILL");
  }
});

test("a process that fails is no measurement", async () => {
  await expect(measureProcess(node("console.error('why'); process.exit(3)"))).rejects.toThrow(
    /ended with 3: why/,
  );
});

test("the median of an even number is between the two in the middle", () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5]);
});
