import { stat } from "node:fs/promises";
import { dirname } from "node:path";

import { escapeText } from "@stowage/content";

/** That anybody may change a file, or put another in its place. */
export interface WritableByAnybody {
  /** As a clause about the file. */
  readonly problem: string;
  readonly remedy: string;
}

/** Looks at a file and at its folder; what is not there is nobody's. */
export async function whoMayWrite(file: string): Promise<readonly WritableByAnybody[]> {
  const folder = dirname(file);
  return [...mayChange(file, await modeOf(file)), ...mayReplace(folder, await modeOf(folder))];
}

/** @param mode - of the file. */
export function mayChange(file: string, mode: number): readonly WritableByAnybody[] {
  if ((mode & WRITABLE_BY_OTHERS) === 0) return [];
  return [{ problem: "anybody may change this file", remedy: remedyFor(file) }];
}

/** @param mode - of the folder. In one that is sticky nobody replaces what others have. */
export function mayReplace(folder: string, mode: number): readonly WritableByAnybody[] {
  if ((mode & WRITABLE_BY_OTHERS) === 0 || (mode & STICKY) !== 0) return [];
  const problem = `anybody may replace this file, since anybody may write its folder ${escapeText(folder)}`;
  return [{ problem, remedy: remedyFor(folder) }];
}

const WRITABLE_BY_OTHERS = 0o002;
const STICKY = 0o1000;

function remedyFor(path: string): string {
  return `Let only root write it: chmod go-w ${escapeText(path)}.`;
}

async function modeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).mode;
  } catch {
    return 0;
  }
}
