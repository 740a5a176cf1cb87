import { stat } from "node:fs/promises";
import { dirname } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

/**
 * What lets a path be read that nobody may read who is whom this runs as, as a sentence: it may be a
 * folder above it that forbids it.
 *
 * @param mode - what of it is wanted: `rx` to list a folder.
 */
export async function howToPermit(path: string, mode: "r" | "rx" = "r"): Promise<string> {
  const folder = await closedFolder(dirname(path));
  const change = folder === undefined ? `a+${mode} ${shown(path)}` : `a+x ${shown(folder)}`;
  const why = folder === undefined ? "" : `, which its folder ${shown(folder)} forbids`;
  return `Run this as somebody who may read it, or let it be read${why}: chmod ${change}`;
}

/** The outermost of the folders that lead there which may not be passed. */
async function closedFolder(path: string): Promise<string | undefined> {
  const parent = dirname(path);
  const outer = parent === path ? undefined : await closedFolder(parent);
  if (outer !== undefined) return outer;
  try {
    // Whoever may not pass a folder cannot find itself in it.
    await stat(`${path}/.`);
    return undefined;
  } catch (error) {
    return hasErrorCode(error, "EACCES", "EPERM") ? path : undefined;
  }
}

function shown(path: string): string {
  return escapeText(path, 1024);
}
