/**
 * What OCI runtimes remember of the containers that run, one directory for each runtime.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readlink, rename, symlink } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { findExecutable, type OciRuntime } from "./oci-runtime.ts";
import { forgetContainer } from "./run-bundle.ts";

/** Where runtime `name` keeps its state: beside the mounts, so that a reboot takes it as well. */
export function stateRootOf(runRoot: string, name: string): string {
  return join(runRoot, "oci", name);
}

/** Keeps where a runtime is, for whoever ends what it runs: it may be on nobody's `PATH`. */
export async function rememberRuntime(runRoot: string, { name, path }: OciRuntime): Promise<void> {
  const link = linkTo(runRoot, name);
  if ((await rememberedPath(runRoot, name)) === path) return;
  await mkdir(join(runRoot, "oci"), { recursive: true, mode: 0o700 });
  const staged = `${link}.${randomUUID()}`;
  await symlink(path, staged);
  await rename(staged, link);
}

/**
 * Ends what still runs of a container whose runner died before it. Nothing, for most.
 *
 * @param env - its `PATH` says where runtimes are that are no longer where they were.
 * @param onMissing - Is told of a runtime that ran it and is not found.
 */
export async function endProcesses(
  runRoot: string,
  id: string,
  env: Readonly<Record<string, string | undefined>>,
  onMissing: (name: string) => void,
): Promise<void> {
  for (const name of await runtimesUsed(runRoot)) {
    const stateRoot = stateRootOf(runRoot, name);
    if (!existsSync(join(stateRoot, id))) continue;
    const kept = await rememberedPath(runRoot, name);
    const path =
      (kept && (await findExecutable(kept, ""))) ?? (await findExecutable(name, env["PATH"] ?? ""));
    if (path === undefined) onMissing(name);
    else await forgetContainer({ runtime: { name, path }, id, stateRoot });
  }
}

async function runtimesUsed(runRoot: string): Promise<readonly string[]> {
  try {
    return (await readdir(join(runRoot, "oci"))).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return [];
    throw error;
  }
}

function linkTo(runRoot: string, name: string): string {
  return join(runRoot, "oci", `.${name}`);
}

async function rememberedPath(runRoot: string, name: string): Promise<string | undefined> {
  try {
    return await readlink(linkTo(runRoot, name));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return undefined;
    throw error;
  }
}
