/** Runs the matrix of kills and failing calls, or a part of it, and prints its figures. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { BOUNDARY_NAMES } from "./commit-boundaries.ts";
import { type Crash, type Fault, FAULTS, RARE_FAULTS } from "./crash-at-step.ts";
import { runMatrix } from "./kill-matrix.ts";
import { SCENARIOS } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    boundary: { type: "string", multiple: true },
    command: { type: "string", multiple: true },
    fault: { type: "string", multiple: true },
    jobs: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    minutes: { type: "string" },
    results: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});

const { command, results } = values;
const scenarios = SCENARIOS.filter(({ name }) => command?.includes(name) ?? true);
const faults: readonly Fault[] =
  values.fault === undefined
    ? FAULTS
    : [...FAULTS, ...RARE_FAULTS].filter((fault) => values.fault?.includes(fault));
const earlier = results === undefined ? [] : readResults(results);
const done = new Set(earlier.map((crash) => keyOf(crash.scenario, crash.fault, crash.at)));

const report = await runMatrix({
  scenarios,
  faults,
  boundaries: values.boundary && BOUNDARY_NAMES.filter((name) => values.boundary?.includes(name)),
  seed: Number(values.seed),
  jobs: Number(values.jobs),
  sample: values.sample === undefined ? undefined : Number(values.sample),
  timeLimitMs: values.minutes === undefined ? undefined : Number(values.minutes) * 60_000,
  isDone: ({ scenario, fault, at }) => done.has(keyOf(scenario.name, fault, at)),
  onCrash(crash) {
    if (results !== undefined) appendFileSync(results, `${JSON.stringify(crash)}\n`);
    for (const problem of crash.problems) tell(crash, problem);
  },
});
const crashes = [...earlier, ...report.crashes];
const bad = crashes.filter(({ problems }) => problems.length > 0).length;
if (values.json) {
  const rows = [...report.steps].map(([name, steps]) => ({ command: name, steps, ...row(name) }));
  process.stdout.write(
    `${JSON.stringify({ cells: report.cells, run: crashes.length, bad, rows })}\n`,
  );
} else {
  process.stdout.write(renderTable());
}
process.exitCode = bad === 0 ? 0 : 1;

function row(name: string): Readonly<Record<string, ReturnType<typeof count>>> {
  return Object.fromEntries(faults.map((fault) => [fault, count(name, fault)]));
}

function count(name: string, fault: Fault): { readonly run: number; readonly bad: number } {
  const own = crashes.filter((crash) => crash.scenario === name && crash.fault === fault);
  return { run: own.length, bad: own.filter(({ problems }) => problems.length > 0).length };
}

function renderTable(): string {
  const head = ["command", "steps", ...faults.map((fault) => `${fault} run/bad`)];
  const lines = [...report.steps].map(([name, steps]) => {
    const counts = faults.map((fault) => count(name, fault));
    return [name, String(steps), ...counts.map(({ run, bad: wrong }) => `${run}/${wrong}`)];
  });
  const widths = head.map((_, at) => Math.max(...[head, ...lines].map((l) => l[at]?.length ?? 0)));
  const text = [head, ...lines].map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n${crashes.length} of ${report.cells} cells, ${bad} bad\n`;
}

function readResults(path: string): readonly Crash[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Crash);
}

function keyOf(scenario: string, fault: Fault, at: number): string {
  return `${scenario} ${fault} ${at}`;
}

function tell({ scenario, fault, at, step }: Crash, problem: string): void {
  const where = step === undefined ? "" : ` (${step.call} ${step.path})`;
  process.stderr.write(`${scenario}, ${fault} at ${at}${where}: ${problem}\n`);
}
