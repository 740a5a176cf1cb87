import { randomUUID } from "node:crypto";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { parsePolicy } from "./policy.ts";
import { PolicyError } from "./policy-error.ts";

/** How {@link writePolicy} writes. */
export interface WritePolicyOptions {
  /** Replace a policy that is there. @defaultValue false */
  readonly overwrite?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Puts a policy where tools look for it, whole or not at all, also if the machine stops meanwhile.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_CONFIG` if `text` is no policy, before anything is
 *   written; `ERR_POLICY_FILE_EXISTS` if there is a file and `overwrite` is off;
 *   `ERR_POLICY_NOT_WRITTEN` if the system refuses.
 */
export async function writePolicy(
  path: string,
  text: string,
  options: WritePolicyOptions = {},
): Promise<void> {
  const { overwrite = false, signal } = options;
  parsePolicy(text);
  signal?.throwIfAborted();
  if (await publish(path, text, overwrite)) return;
  throw new PolicyError("ERR_POLICY_FILE_EXISTS", `${escapeText(path)} exists already`, {
    hint: "Edit it, or replace it with `stowage policy init --force` (overwrite).",
  });
}

/** False if somebody else has the name. */
async function publish(path: string, text: string, overwrite: boolean): Promise<boolean> {
  const directory = dirname(path);
  const temporary = join(directory, `.policy-${randomUUID()}`);
  try {
    await mkdir(directory, { recursive: true });
    await writeDurably(temporary, text);
    if (overwrite) await rename(temporary, path);
    else if (!(await linkIfFree(temporary, path))) return false;
    await syncDirectory(directory);
    return true;
  } catch (cause) {
    throw new PolicyError("ERR_POLICY_NOT_WRITTEN", `${escapeText(path)} cannot be written`, {
      cause,
    });
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

// A link fails if the name is taken, even by somebody who took it just now; a rename would not.
async function linkIfFree(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EEXIST")) return false;
    throw error;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory);
  await handle.sync();
}

async function writeDurably(path: string, text: string): Promise<void> {
  await using handle = await open(path, "wx", 0o644);
  await handle.writeFile(text);
  await handle.sync();
}
