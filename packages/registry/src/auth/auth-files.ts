import { homedir } from "node:os";
import { join } from "node:path";

import type { AuthFile } from "./auth-file.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A place of credentials: a file, or text in the environment. */
export interface AuthPlace extends AuthFile {
  /** What it holds, if it is no file. */
  readonly text?: string;
  /** Whether it is an error that it is not there. */
  readonly required: boolean;
  /** A directory of everybody's: nothing is this user's in it where this user may not enter it. */
  readonly shared?: string;
}

/** Made by whoever logs in first, often by root for root alone. */
const SHARED_RUNTIME = "/run/containers";

/** Where credentials are looked for, in order; an explicit file alone. */
export function authPlaces(authfile: string | undefined, env: Environment): readonly AuthPlace[] {
  if (authfile !== undefined) return [{ path: authfile, legacy: false, required: true }];
  const only = env["REGISTRY_AUTH_FILE"];
  if (only) return [{ path: only, legacy: false, required: false }];
  const home = env["HOME"] || homedir();
  const text = env["DOCKER_AUTH_CONFIG"];
  const paths = [
    ...runtimeFile(env),
    join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "containers/auth.json"),
    join(env["DOCKER_CONFIG"] || join(home, ".docker"), "config.json"),
  ];
  return [
    ...(text ? [{ path: "$DOCKER_AUTH_CONFIG", legacy: false, required: true, text }] : []),
    ...paths.map((path) => ({
      path,
      legacy: false,
      required: false,
      ...(path.startsWith(`${SHARED_RUNTIME}/`) && { shared: SHARED_RUNTIME }),
    })),
    { path: join(home, ".dockercfg"), legacy: true, required: false },
  ];
}

/** The file that a login is written to. */
export function loginFile(authfile: string | undefined, env: Environment): string {
  const file = authPlaces(authfile, env).find(({ text }) => text === undefined);
  if (file === undefined) throw new TypeError("no place for credentials");
  return file.path;
}

// Elsewhere there is no directory that is gone after a reboot.
function runtimeFile(env: Environment): readonly string[] {
  if (process.platform !== "linux") return [];
  const runtime = env["XDG_RUNTIME_DIR"];
  return [
    runtime
      ? join(runtime, "containers/auth.json")
      : `${SHARED_RUNTIME}/${process.getuid?.() ?? 0}/auth.json`,
  ];
}
