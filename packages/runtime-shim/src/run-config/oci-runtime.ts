/**
 * Which OCI runtime runs containers here, and why another cannot.
 *
 * @module
 */
import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { basename, delimiter, isAbsolute, join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";

/** A runtime that is installed. */
export interface OciRuntime {
  readonly name: string;
  readonly path: string;
}

/** Where runtimes are looked for. */
export interface FindOciRuntimeOptions {
  /** A name or an absolute path. `STOWAGE_RUNTIME` unless told; else whichever can work here. */
  readonly runtime?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** A runtime that was passed over. */
export interface UnusableRuntime {
  readonly runtime: OciRuntime;
  readonly reason: string;
}

/** What {@link findOciRuntime} found. */
export interface FoundRuntime {
  readonly runtime: OciRuntime;
  /** Those that are installed and come first, but cannot work on this host. */
  readonly passedOver: readonly UnusableRuntime[];
}

// In order of preference: the one that starts fastest first.
const KNOWN_RUNTIMES = ["crun", "runc", "youki", "runsc"];

// Where packages put runtimes, though an ordinary user's PATH may not name it.
const SYSTEM_PATHS = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/**
 * The runtime that is asked for, or the first installed one that can work on this host.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_NOT_INSTALLED`; `ERR_RUNTIME_UNUSABLE` if the one that is
 *   asked for, or every installed one, cannot work here. The message says why.
 */
export async function findOciRuntime(options: FindOciRuntimeOptions = {}): Promise<FoundRuntime> {
  const { env = process.env } = options;
  const asked = options.runtime || env["STOWAGE_RUNTIME"];
  const passedOver: UnusableRuntime[] = [];
  for (const name of asked ? [asked] : KNOWN_RUNTIMES) {
    const path = await findExecutable(name, env["PATH"] ?? "");
    if (path === undefined) continue;
    const runtime = { name: basename(path), path };
    const reason = await whyUnusable(runtime);
    if (reason === undefined) return { runtime, passedOver };
    passedOver.push({ runtime, reason });
  }
  if (passedOver.length > 0) {
    throw new RuntimeError("ERR_RUNTIME_UNUSABLE", passedOver.map(explain).join("; "), {
      hint: "install another OCI runtime, such as runc, or name one with --runtime",
    });
  }
  const wanted = asked ? escapeText(asked) : KNOWN_RUNTIMES.join(", ");
  throw new RuntimeError("ERR_RUNTIME_NOT_INSTALLED", `${wanted}: not installed`, {
    hint: "install an OCI runtime, such as crun or runc",
  });
}

/** One sentence on why a runtime was passed over. */
export function explain({ runtime, reason }: UnusableRuntime): string {
  return `${runtime.name} cannot run containers on this host: ${reason}`;
}

// crun gives up where both versions of cgroups are in use and the second has a controller, whatever
// its cgroup manager is set to. runc then uses the first version only.
async function whyUnusable(runtime: OciRuntime): Promise<string | undefined> {
  if (runtime.name !== "crun") return undefined;
  const controllers = await readIfThere("/sys/fs/cgroup/unified/cgroup.controllers");
  if (controllers === "") return undefined;
  return (
    "it refuses hybrid cgroups, and /sys/fs/cgroup/unified has " +
    `the controllers ${controllers.split(/\s+/).join(", ")} beside those of cgroups v1`
  );
}

/** The path of program `name`, in `path` or where the system keeps runtimes. */
export async function findExecutable(name: string, path: string): Promise<string | undefined> {
  if (isAbsolute(name)) return (await isExecutable(name)) ? name : undefined;
  return findOnPath(name, [path, ...SYSTEM_PATHS].join(delimiter));
}

/** The path of program `name` in one of the absolute directories of `path`, and nowhere else. */
export async function findOnPath(name: string, path: string): Promise<string | undefined> {
  if (name.includes("/")) return undefined;
  const candidates = path.split(delimiter).filter(isAbsolute);
  for (const directory of candidates) {
    const candidate = join(directory, name);
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (hasErrorCode(error, "ENOENT", "ENOTDIR")) return "";
    throw error;
  }
}
