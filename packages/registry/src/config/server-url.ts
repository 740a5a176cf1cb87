import { posix } from "node:path";

import { parseCanonicalReference, parseRegistryHost, type RegistryHost } from "@stowage/reference";

/** Where a server of a `hosts.toml` has the distribution API. */
export interface ServerUrl {
  readonly scheme: "http:" | "https:";
  /** As it is written, its port too. */
  readonly host: RegistryHost;
  /** The path of the API, `/v2` as a rule; no slash at its end. */
  readonly root: string;
  /** What the server has before the name of each repository, without slashes; empty as a rule. */
  readonly prefix: string;
}

const URL_PARTS = /^(https?):\/\/([^/?#]+)([^?#]*)$/iu;
const IPV6_HOST = /^\[[0-9a-f:.]+\](?::\d{1,5})?$/iu;

/**
 * Reads the URL of a server; TLS unless it says otherwise. `/v2` is added to its path, unless it
 * ends with that.
 *
 * @param options - `isWhole`: nothing is added.
 * @returns what is wrong with it, if it is none.
 */
export function parseServerUrl(
  text: string,
  { isWhole }: { readonly isWhole: boolean },
): ServerUrl | string {
  const full = text.includes("://") ? text : `https://${text}`;
  if (full.includes("@")) return "has a user or a password, which belong into the auth file";
  const [, scheme = "", host = "", path = ""] = URL_PARTS.exec(full) ?? [];
  if (scheme === "" || !URL.canParse(full) || !isHost(host)) {
    return "is not of the form http[s]://host[:port][/path]";
  }
  const clean = posix.normalize(`/${path}`).replace(/\/+$/u, "");
  return {
    scheme: scheme.toLowerCase() === "http" ? "http:" : "https:",
    host: host as RegistryHost,
    ...(isWhole ? splitRoot(clean) : { root: withVersion(clean), prefix: "" }),
  };
}

function isHost(text: string): boolean {
  if (IPV6_HOST.test(text)) return true;
  try {
    return parseRegistryHost(text) === text;
  } catch {
    return false;
  }
}

function withVersion(path: string): string {
  return path.endsWith("/v2") ? path : `${path}/v2`;
}

/** What follows on `/v2` is a part of the names that the server gives, and that its tokens are for. */
function splitRoot(path: string): Pick<ServerUrl, "prefix" | "root"> {
  const [, root = "", prefix = ""] = /^((?:\/[^/]+)*?\/v2)\/(.+)$/u.exec(path) ?? [];
  try {
    if (prefix !== "") parseCanonicalReference(`registry.invalid/${prefix}/x`);
    return root === "" ? { root: path, prefix: "" } : { root, prefix };
  } catch {
    return { root: path, prefix: "" };
  }
}
