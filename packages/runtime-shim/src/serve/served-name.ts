import type { Repository } from "@stowage/reference";

/**
 * The name by which a repository is asked for here: `host/path`, where the host is in lower case and
 * its port behind `_`, since a path has neither upper case nor colons. No host has a `_`, so that
 * `localhost_5000/app` means `localhost:5000/app` and nothing else.
 */
export function servedName({ host, path }: Repository): string {
  return `${servedHost(host)}/${path}`;
}

/** The first part of a {@link servedName}. */
export function servedHost(host: string): string {
  return host.toLowerCase().replace(":", "_");
}
