/**
 * Cuts a command off at one of its steps, and judges what is left.
 *
 * @module
 */
import { constants } from "node:os";

import type { CrashWorld } from "./crash-world.ts";
import { matches, type Scenario } from "./scenarios.ts";
import { type Decision, runStepped, type Step, type SteppedRun } from "./step-tracer.ts";
import { lookAtStore, type StoreView } from "./store-view.ts";
import { runHere, type StowagePlace, STOWAGE_WORDS, stowageEnv } from "./stowage.ts";

/** What happens at a step: the process is killed, or the call fails once. */
export const FAULTS = ["kill", "EIO", "ENOSPC", "EINTR"] as const;
/** Failures that a kernel has for few calls; only where they are asked for. */
export const RARE_FAULTS = ["EAGAIN", "ENOMEM"] as const;
export type Fault = (typeof FAULTS)[number] | (typeof RARE_FAULTS)[number];

/** One run that was cut off. */
export interface Crash {
  readonly scenario: string;
  readonly fault: Fault;
  readonly at: number;
  /** What was cut off; the command had fewer steps this time where there is none. */
  readonly step: Step | undefined;
  /** Empty where all is as it should be. */
  readonly problems: readonly string[];
}

/** Runs a command to its end; answers its steps. */
export async function stepsOf(world: CrashWorld, scenario: Scenario): Promise<readonly Step[]> {
  const { code, steps, stderr } = await runIn(world, scenario, () => "go");
  if (code !== 0) throw new Error(`${scenario.name} ended with ${code}: ${stderr}`);
  return steps;
}

/**
 * Cuts a command off, opens the store, checks all of it, and gives the command again.
 *
 * @param at - The number of the step that is not to be as usual.
 */
export async function crashAtStep(
  world: CrashWorld,
  scenario: Scenario,
  fault: Fault,
  at: number,
): Promise<Crash> {
  const decision = fault === "kill" ? fault : { answer: -constants.errno[fault] };
  const ended = await runIn(world, scenario, (step) => (step.at === at ? decision : "go"));
  const step = ended.steps[at - 1];
  const problems = [
    ...(fault === "kill" ? [] : problemsOfEnd(scenario, ended)),
    ...(await problemsAfter(world, scenario, world.place, isAcknowledged(scenario, ended))),
  ];
  return { scenario: scenario.name, fault, at, step, problems };
}

/** Whether whoever gave the command has reason to believe that it was done. */
export function isAcknowledged(
  { unfinished }: Scenario,
  { code, stdout }: Pick<SteppedRun, "code" | "stdout">,
): boolean {
  return code === 0 || (stdout !== "" && code !== unfinished);
}

/** What is wrong with a store after a command was cut off, and after it was given again. */
export async function problemsAfter(
  world: CrashWorld,
  scenario: Scenario,
  place: StowagePlace,
  wasAcknowledged: boolean,
): Promise<readonly string[]> {
  const { before, after, again: last = after, between = [], repeated } = scenario;
  const hasKept = scenario.state !== "nothing";
  const view = await lookAtStore(world, place, { hasKept, isDeep: true });
  const isDone = matches(view, after);
  const allowed = wasAcknowledged ? [after] : [before, after, ...between];
  const isHurt = scenario.isDamaged === true && !wasAcknowledged;
  const problems = view.problems.filter((problem) => !isHurt || isWorse(problem));
  if (!allowed.some((wanted) => matches(view, wanted))) {
    problems.push(`${wasAcknowledged ? "acknowledged, but " : ""}${describe(view)}`);
  }
  const again = await runHere(place, scenario.args(world, place));
  if (again.code !== 0 && !(isDone && again.code === repeated)) {
    problems.push(`given again, it ended with ${again.code}: ${again.stderr.trim()}`);
  }
  const seen = await lookAtStore(world, place, { hasKept });
  problems.push(...seen.problems.map((problem) => `given again: ${problem}`));
  if (!matches(seen, last)) problems.push(`given again: ${describe(seen)}`);
  return problems;
}

/** What must not be of a store that is damaged either. */
function isWorse(problem: string): boolean {
  return /^(?:lost|left over|mounted|containers|gc|check|the store can not be opened)\b/.test(
    problem,
  );
}

/** A failure has to be named, and its name must not mean that we have no idea. */
function problemsOfEnd({ unfinished }: Scenario, { code, stderr }: SteppedRun): readonly string[] {
  if (code === 0 || code === unfinished) return [];
  if (code > 128) return [`it was ended by signal ${code - 128}: ${stderr}`];
  try {
    const line = stderr.split("\n").find((text) => text.startsWith('{"error"')) ?? "";
    const { error } = JSON.parse(line) as { error: { code: string } };
    const isNamed = error.code.startsWith("ERR_") && error.code !== "ERR_STOWAGE_INTERNAL";
    return isNamed ? [] : [`the failure has no name of ours: ${line}`];
  } catch {
    return [`it ended with ${code} and: ${stderr}`];
  }
}

async function runIn(
  world: CrashWorld,
  scenario: Scenario,
  decide: (step: Step) => Decision,
): Promise<SteppedRun> {
  const { place } = world;
  await world.restore(scenario.state, place);
  await scenario.prepare?.(place);
  return await runStepped({
    words: [...STOWAGE_WORDS, ...scenario.args(world, place)],
    env: stowageEnv(place),
    directories: [place.root, place.runRoot, place.exportDir],
    decide,
  });
}

function describe({ problems: _, ...view }: StoreView): string {
  return `there is ${JSON.stringify(view)}`;
}
