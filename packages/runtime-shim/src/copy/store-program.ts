/**
 * The programs that write into a store of podman's: its locks, its documents and what is done after
 * a crash are theirs alone.
 *
 * @module
 */
import { spawn } from "node:child_process";

import { escapeText } from "@stowage/content";
import type { Reference } from "@stowage/reference";

import { findOnPath } from "../run-config/oci-runtime.ts";
import { RuntimeError } from "../runtime-error.ts";
import { formatPodmanLocation, type PodmanStorePlace } from "./podman-location.ts";

/** A program that is installed. */
export interface StoreProgram {
  readonly name: string;
  readonly path: string;
  /** How it takes an image: as a folder of skopeo's `dir:`, or as an OCI archive with its name. */
  readonly takes: "dir" | "oci-archive";
}

/** What a {@link StoreProgram} is to store. */
export interface ImageToStore {
  /** Where the image lies. */
  readonly path: string;
  readonly name: Reference;
  /** The program's own unless told. */
  readonly store: PodmanStorePlace | undefined;
  /** A policy that takes what lies in files, and nothing else. */
  readonly policy: string;
  /** A directory for what it keeps meanwhile. */
  readonly temporary: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** As `policy.json` has it. The image was checked by whoever hands it over, or by nobody. */
export const FILES_ONLY_POLICY: string = JSON.stringify({
  default: [{ type: "reject" }],
  transports: {
    dir: { "": [{ type: "insecureAcceptAnything" }] },
    "oci-archive": { "": [{ type: "insecureAcceptAnything" }] },
  },
});

// skopeo comes first: it reads a folder as it is, asks nobody for the `urls` of a layer, and touches
// nothing but the store.
const PROGRAMS: readonly Pick<StoreProgram, "name" | "takes">[] = [
  { name: "skopeo", takes: "dir" },
  { name: "podman", takes: "oci-archive" },
  { name: "buildah", takes: "oci-archive" },
];

// What says where the store is and whose; nothing that leads to a registry or loads code.
const PASSED_ON = [
  "CONTAINERS_STORAGE_CONF",
  "DBUS_SESSION_BUS_ADDRESS",
  "HOME",
  "LANG",
  "LC_ALL",
  "LOGNAME",
  "PATH",
  "STORAGE_DRIVER",
  "STORAGE_OPTS",
  "TZ",
  "USER",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_RUNTIME_DIR",
];

const MAX_SAID = 16 * 1024;
const MAX_SHOWN = 1024;

/**
 * The first that is on `PATH`.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_PODMAN_NOT_INSTALLED`
 */
export async function findStoreProgram(env: Environment): Promise<StoreProgram> {
  for (const program of PROGRAMS) {
    const path = await findOnPath(program.name, env["PATH"] ?? "");
    if (path !== undefined) return { ...program, path };
  }
  const names = PROGRAMS.map(({ name }) => name).join(", ");
  throw new RuntimeError(
    "ERR_RUNTIME_PODMAN_NOT_INSTALLED",
    `containers-storage: is written by its own programs, and none of them is on PATH: ${names}`,
    { hint: "Install podman or skopeo, or let podman use what the store has: export podman." },
  );
}

/**
 * Has a program store an image, in a process group of its own that is dead when this settles.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_PODMAN_FAILED` with its last words. The signal's reason.
 */
export async function runStoreProgram(
  program: StoreProgram,
  image: ImageToStore,
  { env, signal }: { readonly env: Environment; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  signal?.throwIfAborted();
  const child = spawn(program.path, argumentsOf(program, image), {
    cwd: "/",
    detached: true,
    env: { ...environmentOf(env), TMPDIR: image.temporary },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const kill = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It and all its children are gone.
    }
  };
  signal?.addEventListener("abort", kill, { once: true });
  // Its children may hold its output open, and have no business any more.
  child.once("exit", kill);
  let said = Buffer.alloc(0);
  child.stderr.on("data", (chunk: Buffer) => {
    said = Buffer.concat([said, chunk]).subarray(-MAX_SAID);
  });
  try {
    const end = await new Promise<string>((resolve, reject) => {
      child.once("error", (cause) => reject(failed(program, "cannot be executed", { cause })));
      child.once("close", (code, name) =>
        resolve(code === null ? `is killed by ${name}` : `${code}`),
      );
    });
    signal?.throwIfAborted();
    if (end === "0") return;
    const what = /^\d+$/.test(end) ? `ends with ${end}` : end;
    const words = lastWords(said.toString());
    throw failed(program, words === "" ? what : `${what}: ${words}`);
  } finally {
    signal?.removeEventListener("abort", kill);
  }
}

function argumentsOf(
  { takes }: StoreProgram,
  { path, name, store, policy, temporary }: ImageToStore,
): readonly string[] {
  if (takes === "dir") {
    const place = formatPodmanLocation({
      transport: "containers-storage",
      ...(store !== undefined && { store }),
      image: { reference: name },
    });
    return ["--policy", policy, "--tmpdir", temporary, "copy", "--quiet", `dir:${path}`, place];
  }
  const option = (flag: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [flag, value];
  const { driver, graphRoot, runRoot, imageStores = [] } = store ?? {};
  return [
    ...option("--root", graphRoot),
    ...option("--runroot", runRoot),
    ...option("--storage-driver", driver),
    ...imageStores.flatMap((one) => ["--storage-opt", `${driver ?? "overlay"}.imagestore=${one}`]),
    "pull",
    "--quiet",
    "--signature-policy",
    policy,
    `oci-archive:${path}`,
  ];
}

function environmentOf(env: Environment): NodeJS.ProcessEnv {
  return Object.fromEntries(PASSED_ON.flatMap((name) => (name in env ? [[name, env[name]]] : [])));
}

/** The last line, out of the log's form that it may have. */
function lastWords(said: string): string {
  const line = said.trim().split("\n").at(-1) ?? "";
  const quoted = /\bmsg=("(?:[^"\\]|\\.)*")/u.exec(line)?.[1];
  const words = quoted === undefined ? line : unquote(quoted);
  // They have been given no secret, but may quote where a layer is said to be.
  const bare = words.replace(/\/\/[^/\s@]*@/gu, "//").replace(/(:\/\/[^\s?"]*)\?[^\s"]*/gu, "$1");
  return escapeText(bare, MAX_SHOWN);
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

function failed({ name }: StoreProgram, what: string, options?: ErrorOptions): RuntimeError {
  return new RuntimeError("ERR_RUNTIME_PODMAN_FAILED", `${name} ${what}`, {
    ...options,
    hint: "See whether podman itself can use its store (podman images), and copy again.",
  });
}
