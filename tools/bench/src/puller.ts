import { execFile } from "node:child_process";
import { promisify } from "node:util";

import type { BenchCommand } from "./measure-process.ts";
import type { Place } from "./rows.ts";

/** One way to pull an image, until it can be mounted. */
export interface Puller extends AsyncDisposable {
  /** Gives it an empty store; what had it open is started anew. */
  reset(): Promise<void>;
  /** Takes its store away, and ends what had it open. */
  clear(): Promise<void>;
  pull(reference: string): BenchCommand;
  /** Has the tool itself show what it pulled, for as long as `look` takes. */
  withRoot<T>(reference: string, look: (root: string) => Promise<T>): Promise<T>;
}

/** Makes a puller whose store lies in a folder. */
export type PullerFactory = (folder: string, policy: string) => Promise<Puller>;

/** Somebody to be compared with. */
export interface Peer {
  readonly programs: readonly string[];
  /** Where it makes sense to ask. @defaultValue everywhere */
  readonly places?: readonly Place[];
  /** How it is set, where that is not by default. */
  readonly setting?: () => Promise<string>;
  readonly create: PullerFactory;
}

const run = promisify(execFile);

/** How many files, directories and links there are below a directory, on its file system. */
export async function countEntries(root: string): Promise<number> {
  const args = [root, "-xdev", "-mindepth", "1", "-printf", "x"];
  const { stdout } = await run("find", args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout.length;
}

/** The same command, and then the file system of `folder` written out, as one measured process. */
export function syncedAfter(command: BenchCommand, folder: string): BenchCommand {
  const { program, args } = command;
  return { ...command, program: "sh", args: ["-c", SYNCED, folder, program, ...args] };
}

const SYNCED = '"$@" && sync -f "$0"';
