/**
 * What a container is doing: a file in its run directory, so that a reboot forgets it.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { constants, readFileSync } from "node:fs";
import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

/**
 * - `created`: never started since the machine booted.
 * - `running`: started and not stopped; its root file system is mounted.
 * - `stopped`: it was started, and no longer is.
 * - `unknown`: what was written about it cannot be read, and it is not mounted.
 */
export type ContainerState = "created" | "running" | "stopped" | "unknown";

/** The last thing that happened to a container since the machine booted. */
export interface ContainerEvent {
  readonly state: "running" | "stopped";
  /** RFC 3339. */
  readonly startedAt?: string;
  /** RFC 3339. */
  readonly finishedAt?: string;
  /** Of its process, where one ran. */
  readonly exitCode?: number;
}

const STATE_FILE = "state.json";
const MAX_STATE_BYTES = 64 * 1024;

/** Notes `event`; readers see the old one or the new one, whole. */
export async function writeContainerEvent(runDir: string, event: ContainerEvent): Promise<void> {
  const staged = join(runDir, `.${STATE_FILE}.${randomUUID()}`);
  try {
    await writeFile(staged, JSON.stringify({ version: 1, bootId: await bootID(), ...event }), {
      flag: "wx",
      mode: 0o600,
    });
    await rename(staged, join(runDir, STATE_FILE));
  } catch (error) {
    await rm(staged, { force: true });
    throw error;
  }
}

/** The last event of this boot; `undefined` if there was none, `"damaged"` if it cannot be read. */
export async function readContainerEvent(
  runDir: string,
): Promise<ContainerEvent | "damaged" | undefined> {
  let text: string | undefined;
  try {
    text = await readStateFile(join(runDir, STATE_FILE));
  } catch (error) {
    return hasErrorCode(error, "ENOENT", "ENOTDIR") ? undefined : "damaged";
  }
  const record = text === undefined ? undefined : parseRecord(text);
  if (record === undefined) return "damaged";
  // A run root that is no tmpfs outlives a reboot, which nothing that was running did.
  return record.bootId === (await bootID()) ? record.event : undefined;
}

/** What `event` and the kernel's mount table say together. The kernel is believed. */
export function containerStateOf(
  event: ContainerEvent | "damaged" | undefined,
  mounted: boolean,
): ContainerState {
  if (mounted) return "running";
  if (event === undefined) return "created";
  return event === "damaged" ? "unknown" : "stopped";
}

async function readStateFile(path: string): Promise<string | undefined> {
  await using file = await open(
    path,
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  );
  const stat = await file.stat();
  // The asynchronous one takes a read that gives less than there is for the last.
  return stat.isFile() && stat.size <= MAX_STATE_BYTES ? readFileSync(file.fd, "utf8") : undefined;
}

function parseRecord(
  text: string,
): { readonly bootId: unknown; readonly event: ContainerEvent } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const record: Readonly<Record<string, unknown>> = { ...value };
  const { state, startedAt, finishedAt, exitCode, bootId } = record;
  if (record["version"] !== 1 || (state !== "running" && state !== "stopped")) return undefined;
  return {
    bootId,
    event: {
      state,
      ...(typeof startedAt === "string" && { startedAt }),
      ...(typeof finishedAt === "string" && { finishedAt }),
      ...(typeof exitCode === "number" && { exitCode }),
    },
  };
}

async function bootID(): Promise<string> {
  try {
    return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "EACCES")) return "unknown";
    throw error;
  }
}
