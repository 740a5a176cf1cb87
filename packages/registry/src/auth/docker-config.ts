import { access, constants, open } from "node:fs/promises";

import { hasErrorCode } from "@stowage/content";

import type { ConfigEventOptions } from "../config/config-event.ts";
import { AUTH_FILES_HELPER } from "../config/registries-file.ts";
import { RegistryError } from "../registry-error.ts";
import { type AuthFileAnswer, findInAuthFile } from "./auth-file.ts";
import { type AuthPlace, authPlaces } from "./auth-files.ts";
import { askHelper } from "./credential-helper.ts";
import type { Credentials, CredentialsLookup } from "./credentials.ts";
import type { HelperProcessOptions } from "./helper-process.ts";

/** Where {@link loadCredentials} looks. */
export interface LoadCredentialsOptions extends ConfigEventOptions {
  /** The only file to read, and no helper but those it names. It must exist. */
  readonly authfile?: string | undefined;
  /**
   * Who is asked, in order, as `RegistriesConf` has it: helpers by their names, and the files as
   * `containers-auth.json`.
   *
   * @defaultValue the files alone
   */
  readonly helpers?: readonly string[] | undefined;
  /** Refuse a file that others may read, instead of telling about it. @defaultValue false */
  readonly refuseExposed?: boolean | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

interface Found {
  readonly credentials: Credentials;
  readonly key: string;
}

/**
 * The credentials that the user has for other tools of the ecosystem. The first place that knows a
 * repository decides: `authfile`, or `$REGISTRY_AUTH_FILE`, alone if given; else the text of
 * `$DOCKER_AUTH_CONFIG`, `$XDG_RUNTIME_DIR/containers/auth.json` (without that variable, on Linux,
 * `/run/containers/UID/auth.json`), `$XDG_CONFIG_HOME/containers/auth.json`, `$DOCKER_CONFIG/config.json` and `~/.dockercfg`. What they
 * leave to a credential helper (`credHelpers`, `credsStore`) is asked of it.
 *
 * The lookup reads the files anew each time, since someone may log in meanwhile.
 *
 * @throws {@link RegistryError} when looked up: `ERR_REGISTRY_INVALID_AUTH_FILE` for a file that is
 *   malformed or cannot be read, `ERR_REGISTRY_HELPER_FAILED` for a helper that fails. Neither is
 *   passed over: going on would be another identity than the user's.
 */
export function loadCredentials(options: LoadCredentialsOptions = {}): CredentialsLookup {
  const { authfile, env = process.env, helpers = [AUTH_FILES_HELPER], onEvent } = options;
  const places = authPlaces(authfile, env);
  const asked = authfile === undefined ? helpers : [AUTH_FILES_HELPER];
  const find = async (
    host: string,
    repository: string,
    signal: AbortSignal | undefined,
  ): Promise<Found | undefined> => {
    for (const helper of asked) {
      if (helper !== AUTH_FILES_HELPER) {
        const credentials = await askHelper(helper, host, { env, signal });
        if (credentials !== undefined) return { credentials, key: host };
        continue;
      }
      for (const place of places) {
        const found = await askPlace(place, host, repository, { ...options, env, signal });
        if (found !== undefined) return found;
      }
    }
    return undefined;
  };
  const lookup: CredentialsLookup = async (host, repository, { signal } = {}) => {
    const found = await find(host, repository, signal);
    const source = found?.credentials.source;
    onEvent?.({ type: "credentials", host, repository, source, key: found?.key });
    return found?.credentials;
  };
  const files = asked.flatMap((helper) =>
    helper === AUTH_FILES_HELPER ? places.map(({ path }) => path) : [`docker-credential-${helper}`],
  );
  return Object.assign(lookup, { files });
}

/**
 * Sees that a file of credentials is there and can be read, before anybody is asked without them.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_AUTH_FILE`
 */
export async function requireAuthFile(authfile: string): Promise<void> {
  for (const place of authPlaces(authfile, {})) await readAuthFile(place);
}

async function askPlace(
  place: AuthPlace,
  host: string,
  repository: string,
  options: LoadCredentialsOptions & HelperProcessOptions,
): Promise<Found | undefined> {
  const read = place.text === undefined ? await readAuthFile(place) : { text: place.text };
  if (read === undefined) return undefined;
  const bytes = "text" in read ? Buffer.from(read.text) : read.bytes;
  const answer: AuthFileAnswer | undefined = findInAuthFile(place, bytes, host, repository);
  if (answer === undefined) return undefined;
  if ("helper" in answer) {
    const { helper, server } = answer;
    const credentials = await askHelper(helper, server, options);
    if (credentials === undefined) return undefined;
    const source = `docker-credential-${helper}, which ${place.path} names`;
    return { credentials: { ...credentials, source }, key: server };
  }
  if ("mode" in read && read.mode !== undefined) requireHidden(place, read.mode, options);
  return answer;
}

function requireHidden(place: AuthPlace, mode: string, options: LoadCredentialsOptions): void {
  const file = place.path;
  options.onEvent?.({ type: "exposed-file", file, mode });
  if (options.refuseExposed === true) {
    throw new RegistryError(
      "ERR_REGISTRY_INVALID_AUTH_FILE",
      `${file}: others on this machine can read it (mode ${mode}, or not its owner)`,
      { hint: `chmod 600 ${file}, as its owner; and change the passwords in it.` },
    );
  }
}

interface ReadAuthFile {
  readonly bytes: Uint8Array;
  /** Its permission bits, if somebody else can read or own it. */
  readonly mode: string | undefined;
}

async function readAuthFile(place: AuthPlace): Promise<ReadAuthFile | undefined> {
  const { path, required, shared } = place;
  try {
    await using file = await open(path, "r");
    const { mode, uid } = await file.stat();
    const isOurs = uid === 0 || uid === process.getuid?.();
    const isExposed = process.platform !== "win32" && ((mode & 0o077) !== 0 || !isOurs);
    const bits = (mode & 0o7777).toString(8).padStart(4, "0");
    return { bytes: await file.readFile(), mode: isExposed ? bits : undefined };
  } catch (cause) {
    if (!required && hasErrorCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    if (shared !== undefined && hasErrorCode(cause, "EACCES") && !(await isOpenTo(shared))) {
      return undefined;
    }
    // Going on without it would be another identity than the user's.
    const isMissing = hasErrorCode(cause, "ENOENT", "ENOTDIR");
    const what = isMissing ? "there is no such file of credentials" : "it cannot be read";
    throw new RegistryError("ERR_REGISTRY_INVALID_AUTH_FILE", `${path}: ${what}`, {
      cause,
      hint: isMissing
        ? "Name another with --authfile, or have `stowage login` write this one."
        : "Make the file readable, or name another with --authfile.",
    });
  }
}

/** Whether this user may enter a directory. */
async function isOpenTo(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.X_OK);
    return true;
  } catch (error) {
    if (hasErrorCode(error, "EACCES")) return false;
    throw error;
  }
}
