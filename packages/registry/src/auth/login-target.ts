import { basename } from "node:path";

import { escapeText } from "@stowage/content";
import { parseRegistryHost, parseRepository, type RegistryHost } from "@stowage/reference";

import { AUTH_FILES_HELPER } from "../config/registries-file.ts";
import { RegistryError } from "../registry-error.ts";
import { canonicalHost } from "./auth-file.ts";
import { loginFile } from "./auth-files.ts";
import { HUB_SERVER } from "./credential-helper.ts";

/** Where credentials are kept. */
export interface LoginPlaceOptions {
  /** The only file to write. */
  readonly authfile?: string | undefined;
  /** Who keeps credentials, as `RegistriesConf` has it; the first one gets new ones. */
  readonly helpers?: readonly string[] | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What somebody logs in to. */
export interface LoginTarget {
  readonly host: RegistryHost;
  /** A namespace or repository; empty for all of the host. */
  readonly path: string;
}

/** The place that a login goes to. */
export interface LoginPlace {
  readonly file: string;
  /** The helper that gets new credentials instead of the file. */
  readonly helper: string | undefined;
  /** All helpers that may keep some. */
  readonly helpers: readonly string[];
}

/**
 * Reads `host[:port]` or `host[:port]/namespace`.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT`.
 */
export function parseLoginTarget(text: string): LoginTarget {
  const slash = text.indexOf("/");
  const path = slash < 0 ? "" : text.slice(slash + 1);
  try {
    const host = parseRegistryHost(slash < 0 ? text : text.slice(0, slash));
    if (slash >= 0 && parseRepository(`x.invalid/${path}`).path !== path) throw new Error("path");
    const isHub = canonicalHost(host) === canonicalHost("docker.io");
    return { host: isHub ? parseRegistryHost("docker.io") : host, path };
  } catch (cause) {
    throw invalidArgument(
      `${escapeText(text, 120)} is no registry to log in to`,
      "Write host[:port] or host[:port]/namespace, without scheme, tag and digest.",
      cause,
    );
  }
}

export function loginPlace(options: LoginPlaceOptions): LoginPlace {
  const { authfile, env = process.env } = options;
  const asked = authfile === undefined ? (options.helpers ?? []) : [];
  const [first] = asked;
  return {
    file: loginFile(authfile, env),
    helper: first === AUTH_FILES_HELPER ? undefined : first,
    helpers: asked.filter((helper) => helper !== AUTH_FILES_HELPER),
  };
}

/** The key of an entry; in Docker's own file its Hub has the name that Docker looks for. */
export function authKey(file: string, { host, path }: LoginTarget): string {
  if (path !== "") return `${host}/${path}`;
  return host === "docker.io" && basename(file) === "config.json" ? HUB_SERVER : host;
}

export function invalidArgument(message: string, hint: string, cause?: unknown): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message, {
    hint,
    ...(cause !== undefined && { cause }),
  });
}
