import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";

import { RegistryError } from "../registry-error.ts";
import { type AuthFile, findInAuthFile } from "./auth-file.ts";
import type { CredentialsLookup } from "./credentials.ts";

/** Where {@link loadCredentials} looks. */
export interface LoadCredentialsOptions {
  /** The only file to read. It must exist. */
  readonly authfile?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * The credentials that the user has for other tools of the ecosystem. The first file that knows a
 * repository decides: `authfile`, or `$REGISTRY_AUTH_FILE`, alone if given; else
 * `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json`,
 * `$DOCKER_CONFIG/config.json` and `~/.dockercfg`.
 *
 * The lookup reads the files anew each time, since someone may log in meanwhile.
 *
 * @throws {@link RegistryError} when looked up: `ERR_REGISTRY_INVALID_AUTH_FILE` for a file that is
 *   malformed or cannot be read, `ERR_REGISTRY_HELPER_UNSUPPORTED` for credentials in a helper.
 */
export function loadCredentials(options: LoadCredentialsOptions = {}): CredentialsLookup {
  const { authfile, env = process.env } = options;
  const files = authfile === undefined ? authFiles(env) : [{ path: authfile, legacy: false }];
  const lookup = async (host: string, repository: string) => {
    for (const file of files) {
      const bytes = await readAuthFile(file, authfile !== undefined);
      const found = bytes && findInAuthFile(file, bytes, host, repository);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return Object.assign(lookup, { files: files.map(({ path }) => path) });
}

function authFiles(env: Readonly<Record<string, string | undefined>>): readonly AuthFile[] {
  const only = env["REGISTRY_AUTH_FILE"];
  if (only) return [{ path: only, legacy: false }];
  const home = env["HOME"] || homedir();
  const runtime = env["XDG_RUNTIME_DIR"];
  const paths = [
    runtime
      ? join(runtime, "containers/auth.json")
      : `/run/containers/${process.getuid?.() ?? 0}/auth.json`,
    join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "containers/auth.json"),
    join(env["DOCKER_CONFIG"] || join(home, ".docker"), "config.json"),
  ];
  return [
    ...paths.map((path) => ({ path, legacy: false })),
    { path: join(home, ".dockercfg"), legacy: true },
  ];
}

async function readAuthFile(
  { path }: AuthFile,
  required: boolean,
): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    // Going on without it would be another identity than the user's.
    throw new RegistryError("ERR_REGISTRY_INVALID_AUTH_FILE", `${path}: it cannot be read`, {
      cause,
      hint: "Make the file readable, or name another with --authfile.",
    });
  }
}
