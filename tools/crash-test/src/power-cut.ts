/** Cuts the power at every step of every command on every file system, and prints the figures. */
import { parseArgs } from "node:util";

import { openCrashWorld } from "./crash-world.ts";
import { ALL_SYNCS, cutPower, type PowerCutReport } from "./cut-power.ts";
import { FILESYSTEMS, whatFilesystemNeeds } from "./loop-filesystem.ts";
import { SCENARIOS } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    command: { type: "string", multiple: true },
    cuts: { type: "string" },
    filesystem: { type: "string", multiple: true },
    json: { type: "boolean", default: false },
    minutes: { type: "string" },
    without: { type: "string", multiple: true },
    "without-syncs": { type: "boolean", default: false },
  },
});

const SHOWN_PROBLEMS = 2;
const until = performance.now() + Number(values.minutes ?? Infinity) * 60_000;
const without = values["without-syncs"] ? ALL_SYNCS : values.without;
const maxCuts = values.cuts === undefined ? undefined : Number(values.cuts);
const reports: PowerCutReport[] = [];
let skipped = 0;
{
  await using world = await openCrashWorld();
  for (const filesystem of FILESYSTEMS) {
    if (values.filesystem?.includes(filesystem.name) === false) continue;
    const needs = whatFilesystemNeeds(filesystem);
    for (const scenario of SCENARIOS) {
      if (values.command?.includes(scenario.name) === false) continue;
      if (needs !== "" || performance.now() >= until) {
        process.stderr.write(
          `${filesystem.name}, ${scenario.name}: skipped (${needs || "time"})\n`,
        );
        skipped += 1;
        continue;
      }
      const report = await cutPower({ world, filesystem, scenario, without, maxCuts });
      reports.push(report);
      tell(report);
    }
  }
}
const bad = reports
  .flatMap(({ cuts }) => cuts)
  .filter(({ problems }) => problems.length > 0).length;
const cuts = reports.reduce((sum, report) => sum + report.cuts.length, 0);
const summary = { cuts, bad, skipped, reports: reports.map(figuresOf) };
if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
else process.stdout.write(`${cuts} cuts, ${bad} bad, ${skipped} skipped\n`);
process.exitCode = bad === 0 ? 0 : 1;

function figuresOf({ filesystem, scenario, steps, cuts, seconds }: PowerCutReport) {
  const wrong = cuts.filter(({ problems }) => problems.length > 0).length;
  return { filesystem, scenario, steps, cuts: cuts.length, bad: wrong, seconds };
}

function tell(report: PowerCutReport): void {
  const { filesystem, scenario, steps, cuts, bad, seconds } = figuresOf(report);
  const figures = `${steps} steps in ${seconds.toFixed(1)} s, ${cuts} cuts, ${bad} bad`;
  process.stdout.write(values.json ? "" : `${filesystem}, ${scenario}: ${figures}\n`);
  for (const { before, problems } of report.cuts) {
    const where = before === undefined ? "the end" : `${before.at} (${before.call} ${before.path})`;
    for (const problem of problems.slice(0, SHOWN_PROBLEMS))
      process.stderr.write(`  cut before ${where}: ${problem}\n`);
  }
}
