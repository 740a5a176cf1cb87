/**
 * Cuts the power at every step of a command: copies the device while the command stands still, mounts
 * each copy as after a boot, and judges what is there.
 *
 * @module
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

import { isAcknowledged, problemsAfter } from "./crash-at-step.ts";
import { clear, type CrashWorld, unmountBelow } from "./crash-world.ts";
import { type FilesystemKind, makeFilesystem, mountFilesystem } from "./loop-filesystem.ts";
import type { Scenario } from "./scenarios.ts";
import { type Decision, runStepped, type Step } from "./step-tracer.ts";
import { type StowagePlace, STOWAGE_WORDS, stowageEnv } from "./stowage.ts";

/** What is to be cut off. */
export interface PowerCutOptions {
  readonly world: CrashWorld;
  readonly filesystem: FilesystemKind;
  readonly scenario: Scenario;
  /** Calls that do nothing and answer success, to see what they are good for: `fsync`. */
  readonly without?: readonly string[] | undefined;
  /** Of all different states, at most so many, evenly spread, and always the last. */
  readonly maxCuts?: number | undefined;
}

/** One moment without power. */
export interface PowerCut {
  /** What was about to happen; nothing more, where there is none. */
  readonly before: Step | undefined;
  readonly wasAcknowledged: boolean;
  readonly problems: readonly string[];
}

/** What came of it. */
export interface PowerCutReport {
  readonly filesystem: string;
  readonly scenario: string;
  readonly steps: number;
  /** Each different state of the device once, in order. */
  readonly cuts: readonly PowerCut[];
  /** From the first step to the last; what is not synced for half a minute may be written anyway. */
  readonly seconds: number;
}

interface Copy extends Omit<PowerCut, "problems"> {
  readonly file: string;
}

const SYNCS = ["fsync", "fdatasync", "syncfs", "sync_file_range"] as const;
/** For {@link PowerCutOptions.without}: a build that syncs nothing. */
export const ALL_SYNCS: readonly string[] = SYNCS;

export async function cutPower(options: PowerCutOptions): Promise<PowerCutReport> {
  const { world, filesystem, scenario, maxCuts = Infinity } = options;
  const folder = join(world.path, "power");
  const mountPoint = join(world.path, "disk");
  const place = world.placeAt(join(mountPoint, "root"), join(world.path, "power-run"));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  try {
    const file = join(folder, "disk.img");
    await makeFilesystem(file, filesystem);
    await fill(world, filesystem, scenario, { file, mountPoint, place });
    const { copies, steps, seconds } = await runAndCopy(options, {
      file,
      mountPoint,
      place,
      folder,
    });
    const cuts: PowerCut[] = [];
    for (const [at, copy] of copies.entries()) {
      if (!isChosen(at, copies.length, maxCuts)) continue;
      const problems = await judge(options, copy, mountPoint, place);
      cuts.push({ before: copy.before, wasAcknowledged: copy.wasAcknowledged, problems });
    }
    return { filesystem: filesystem.name, scenario: scenario.name, steps, cuts, seconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Disk {
  readonly file: string;
  readonly mountPoint: string;
  readonly place: StowagePlace;
}

/** Writes the state that the command begins with, of which everything is on the device. */
async function fill(
  world: CrashWorld,
  filesystem: FilesystemKind,
  scenario: Scenario,
  { file, mountPoint, place }: Disk,
): Promise<void> {
  await using _disk = await mountFilesystem(file, filesystem, mountPoint);
  await world.restore(scenario.state, place);
}

async function runAndCopy(
  { world, filesystem, scenario, without = [] }: PowerCutOptions,
  { file, mountPoint, place, folder }: Disk & { readonly folder: string },
): Promise<{ readonly copies: readonly Copy[]; readonly steps: number; readonly seconds: number }> {
  const copies: Copy[] = [];
  await using disk = await mountFilesystem(file, filesystem, mountPoint);
  await using _mounts = mountsOf(place);
  await scenario.prepare?.(place);
  let known = "";
  const copy = async (before: Step | undefined, wasAcknowledged: boolean): Promise<void> => {
    const writes = await disk.writes();
    const last = copies.at(-1);
    if (writes === known && last?.wasAcknowledged === wasAcknowledged) return;
    known = writes;
    const path = join(folder, `${copies.length}.img`);
    await disk.copyTo(path);
    copies.push({ file: path, before, wasAcknowledged });
  };
  let began = performance.now();
  const ended = await runStepped({
    words: [...STOWAGE_WORDS, ...scenario.args(world, place)],
    env: stowageEnv(place),
    directories: [place.root, place.exportDir],
    async decide(step, { stdout }): Promise<Decision> {
      if (step.at === 1) began = performance.now();
      await copy(step, stdout !== "");
      return without.includes(step.call) ? { answer: 0 } : "go";
    },
  });
  await copy(undefined, isAcknowledged(scenario, ended));
  if (ended.code !== 0)
    throw new Error(`${scenario.name} ended with ${ended.code}: ${ended.stderr}`);
  const seconds = (performance.now() - began) / 1000;
  return { copies, steps: ended.steps.length, seconds };
}

async function judge(
  { world, filesystem, scenario }: PowerCutOptions,
  { file, wasAcknowledged }: Copy,
  mountPoint: string,
  place: StowagePlace,
): Promise<readonly string[]> {
  // A boot takes with it what is in the run directory.
  await clear({ ...place, root: join(world.path, "no-root") });
  try {
    await using _disk = await mountFilesystem(file, filesystem, mountPoint);
    await using _mounts = mountsOf(place);
    const seen = { ...scenario, ...scenario.afterBoot };
    return await problemsAfter(world, seen, place, wasAcknowledged);
  } catch (error) {
    return [`it can not be looked at: ${String(error)}`];
  } finally {
    await rm(file);
  }
}

/** What is mounted from a disk, which is not unmounted itself before that. */
function mountsOf({ runRoot }: StowagePlace): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => unmountBelow(runRoot) };
}

function isChosen(at: number, count: number, maxCuts: number): boolean {
  if (count <= maxCuts || at === count - 1) return true;
  const stride = count / maxCuts;
  return Math.floor((at + 1) / stride) > Math.floor(at / stride);
}
