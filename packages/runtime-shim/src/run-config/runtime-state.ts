/**
 * What OCI runtimes remember of the containers that run, one directory for each runtime.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { findExecutable } from "./oci-runtime.ts";
import { forgetContainer } from "./run-bundle.ts";

/** Where runtime `name` keeps its state: beside the mounts, so that a reboot takes it as well. */
export function stateRootOf(runRoot: string, name: string): string {
  return join(runRoot, "oci", name);
}

/**
 * Ends what still runs of a container whose runner died before it. Nothing, for most.
 *
 * @param env - its `PATH` says where runtimes are.
 */
export async function endProcesses(
  runRoot: string,
  id: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  for (const name of await runtimesUsed(runRoot)) {
    const stateRoot = stateRootOf(runRoot, name);
    if (!existsSync(join(stateRoot, id))) continue;
    const path = await findExecutable(name, env["PATH"] ?? "");
    if (path !== undefined) await forgetContainer({ runtime: { name, path }, id, stateRoot });
  }
}

async function runtimesUsed(runRoot: string): Promise<readonly string[]> {
  try {
    return await readdir(join(runRoot, "oci"));
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return [];
    throw error;
  }
}
