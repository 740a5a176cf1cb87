import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

import { RegistryError } from "../registry-error.ts";

/** How a helper program is run. */
export interface HelperProcessOptions {
  /** For `PATH`, and for what the helper is given of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. @defaultValue 10_000 */
  readonly timeout?: number | undefined;
}

/** What a helper has answered. */
export interface HelperOutput {
  readonly code: number | null;
  readonly stdout: string;
}

const MAX_OUTPUT = 64 * 1024;
// What helpers need to find keyrings, clouds and terminals. Nothing that would load code into them.
const ALLOWED =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TMPDIR|TERM|DISPLAY|XAUTHORITY|WAYLAND_DISPLAY|XDG_[A-Z_]+|DBUS_SESSION_BUS_ADDRESS|GNUPGHOME|GPG_TTY|SSH_AUTH_SOCK|PASSWORD_STORE_[A-Z_]+|DOCKER_CONFIG|AWS_[A-Z0-9_]+|AZURE_[A-Z0-9_]+|GOOGLE_[A-Z0-9_]+|CLOUDSDK_[A-Z0-9_]+|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY|SSL_CERT_(?:FILE|DIR)|SystemRoot|SYSTEMROOT|windir|USERPROFILE|APPDATA|LOCALAPPDATA|PATHEXT|TEMP|TMP|USERNAME)$/u;

/**
 * Runs `docker-credential-<name>` with one word of argument and one text on its standard input, in
 * a process group of its own that is dead when this settles. Its stderr is shown to nobody, since
 * helpers write secrets there.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_HELPER_FAILED` if it is not there, hangs for longer
 *   than `timeout` or says more than 64 KiB.
 */
export async function runHelper(
  name: string,
  action: "erase" | "get" | "store",
  input: string,
  options: HelperProcessOptions,
): Promise<HelperOutput> {
  const { env, signal, timeout = 10_000 } = options;
  signal?.throwIfAborted();
  const program = await findHelper(name, env);
  const { promise, resolve, reject } = Promise.withResolvers<HelperOutput>();
  const child = spawn(program, [action], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    env: allowedOf(env),
    cwd: "/",
  });
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It and all its children are gone.
    }
  };
  const give = (outcome: () => void): void => {
    killGroup();
    child.stdout.destroy();
    outcome();
  };
  const timer = setTimeout(() => {
    give(() => reject(helperFailed(name, `does not answer in ${timeout} ms`)));
  }, timeout);
  const onAbort = (): void => give(() => reject(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });
  const chunks: Buffer[] = [];
  let length = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    length += chunk.byteLength;
    if (length <= MAX_OUTPUT) chunks.push(chunk);
    else give(() => reject(helperFailed(name, `says more than ${MAX_OUTPUT} bytes`)));
  });
  // Its children may hold its output open, and have no business any more.
  child.once("exit", killGroup);
  child.once("error", () => give(() => reject(helperFailed(name, `cannot be run: ${program}`))));
  child.once("close", (code) => {
    resolve({ code, stdout: Buffer.concat(chunks).toString() });
  });
  // A helper that ends without reading is judged by its exit.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A failure of a helper; never with what it wrote. */
export function helperFailed(name: string, what: string): RegistryError {
  return new RegistryError(
    "ERR_REGISTRY_HELPER_FAILED",
    `the credential helper docker-credential-${name} ${what}`,
    {
      hint: `Nothing was sent to the registry. Mend the helper, or give credentials with --creds-stdin or in the file named by --authfile.`,
    },
  );
}

/** On `PATH`, but never relative to where we happen to be. */
async function findHelper(name: string, env: HelperProcessOptions["env"]): Promise<string> {
  const file = `docker-credential-${name}${process.platform === "win32" ? ".exe" : ""}`;
  for (const directory of (env["PATH"] ?? "").split(delimiter)) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, file);
    if (await isProgram(path)) return path;
  }
  throw helperFailed(name, "is not on PATH, or is no program");
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function allowedOf(env: HelperProcessOptions["env"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([key, value]) =>
      value !== undefined && ALLOWED.test(key) ? [[key, value]] : [],
    ),
  );
}
