import { posix } from "node:path";

import { escapeText, type ImageExecution } from "@stowage/content";

import { RuntimeError } from "../runtime-error.ts";
import { parseUserSpec } from "./container-user.ts";
import { CAPABILITIES } from "./linux-defaults.ts";
import { NOBODY, type OciProcess } from "./oci-config.ts";

/** What runs in a container, where it is not what its image says. */
export interface ProcessOptions {
  /** Instead of the image's `Cmd`; its `Entrypoint` still comes first. */
  readonly command?: readonly string[] | undefined;
  /** Instead of the image's `Entrypoint`; the image's `Cmd` is then dropped, too. */
  readonly entrypoint?: readonly string[] | undefined;
  /** `NAME=value`, over the image's `Env`; a bare `NAME` takes a variable away. */
  readonly env?: readonly string[] | undefined;
  /** Absolute. The image's `WorkingDir`, or `/`, unless told. */
  readonly cwd?: string | undefined;
  /** `user[:group]`, each a name or a number. The image's `User`, or root, unless told. */
  readonly user?: string | undefined;
  /** Whether the process gets a terminal; standard input must then be one. @defaultValue false */
  readonly terminal?: boolean | undefined;
  /**
   * Whether set-user-ID programs and file capabilities gain the process nothing.
   *
   * @defaultValue true
   */
  readonly noNewPrivileges?: boolean | undefined;
}

/** A process whose user is still to be looked up. */
export interface UnresolvedProcess {
  readonly process: OciProcess;
  /** `user[:group]`; empty for root. */
  readonly user: string;
}

const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Without one, a process would have that of whoever runs the runtime.
const UMASK = 0o022;

// The kernel refuses a longer one, with an error that names neither it nor its length.
const MAX_ARGUMENT_BYTES = 128 * 1024;

/** @throws {@link RuntimeError} as `createOciConfig` does. */
export function createProcess(image: ImageExecution, options: ProcessOptions): UnresolvedProcess {
  const { terminal = false, noNewPrivileges = true } = options;
  const user = options.user ?? image.User ?? "";
  parseUserSpec(user);
  return {
    user,
    process: {
      terminal,
      user: { ...NOBODY, umask: UMASK },
      args: argumentsOf(image, options),
      env: environmentOf(image.Env ?? [], options.env ?? [], terminal),
      cwd: workingDirectoryOf(options.cwd ?? image.WorkingDir ?? ""),
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
        inheritable: [],
        ambient: [],
      },
      noNewPrivileges,
    },
  };
}

/**
 * An absolute working directory without `.` and `..`.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_INVALID_PROCESS` under `/proc`, where a descriptor that a
 *   runtime forgot to close would lead out of the container.
 */
export function workingDirectoryOf(directory: string): string {
  const cwd = posix.resolve("/", requireText(directory, "working directory"));
  if (cwd === "/proc" || cwd.startsWith("/proc/")) {
    throw new RuntimeError(
      "ERR_RUNTIME_INVALID_PROCESS",
      `working directory ${escapeText(cwd)}: is under /proc`,
    );
  }
  return cwd;
}

function argumentsOf(image: ImageExecution, options: ProcessOptions): readonly string[] {
  const { command, entrypoint } = options;
  const args = [
    ...(entrypoint ?? image.Entrypoint ?? []),
    ...(command ?? (entrypoint ? [] : (image.Cmd ?? []))),
  ];
  if (args.length === 0 || args[0] === "") {
    throw new RuntimeError(
      "ERR_RUNTIME_NO_COMMAND",
      "neither the image nor the caller has a command",
      {
        hint: "give one: stowage run IMAGE -- COMMAND",
      },
    );
  }
  return args.map((argument) => requireText(argument, "argument"));
}

// In the order in which names first appear; the last value of a name counts.
function environmentOf(
  image: readonly string[],
  overrides: readonly string[],
  terminal: boolean,
): readonly string[] {
  const variables = new Map<string, string>();
  const defaults = [DEFAULT_PATH, ...(terminal ? ["TERM=xterm"] : [])];
  for (const entry of [...defaults, ...image, ...overrides]) {
    const [name = ""] = requireText(entry, "environment").split("=", 1);
    if (name === "") continue;
    if (entry.includes("=")) variables.set(name, entry);
    else variables.delete(name);
  }
  return [...variables.values()];
}

function requireText(text: string, what: string): string {
  if (text.includes("\0")) {
    throw new RuntimeError("ERR_RUNTIME_INVALID_PROCESS", `${what}: holds a NUL character`);
  }
  if (Buffer.byteLength(text) >= MAX_ARGUMENT_BYTES) {
    throw new RuntimeError(
      "ERR_RUNTIME_INVALID_PROCESS",
      `${what}: longer than the ${MAX_ARGUMENT_BYTES - 1} bytes that the kernel takes`,
    );
  }
  return text;
}
