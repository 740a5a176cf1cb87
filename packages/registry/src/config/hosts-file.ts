/**
 * A `hosts.toml` of containerd: which servers stand for a registry, in which order, and how each
 * is reached.
 *
 * @see https://github.com/containerd/containerd/blob/v2.2.1/docs/hosts.md
 * @module
 */
import { dirname, resolve } from "node:path";

import { isValidHeaderName, isValidHeaderValue } from "./header-text.ts";
import { Secret } from "../auth/secret.ts";
import { parseGoDuration } from "./go-duration.ts";
import { parseServerUrl, type ServerUrl } from "./server-url.ts";
import { TomlDocument, type TomlTable } from "./toml-document.ts";
import { joinPath } from "./toml-lines.ts";

/** What a server may be asked for: content by its digest, by a tag, what refers to it, to take some. */
export type HostCapability = "pull" | "push" | "referrers" | "resolve";

/** The files of a client's certificate; without `key`, that is in the same file. */
export interface ClientCertificateFiles {
  readonly certificate: string;
  readonly key?: string;
}

/** One server of a `hosts.toml`. */
export interface HostServer {
  /** Where it stands in the file: `server`, or `host."https://…"`. */
  readonly key: string;
  /** Where it is; `undefined`: where the registry is that the file is for. */
  readonly url?: ServerUrl;
  readonly capabilities: ReadonlySet<HostCapability>;
  /** Files of authorities that are trusted besides the usual. */
  readonly ca: readonly string[];
  /** Who we are to it; of several the first is used. */
  readonly client: readonly ClientCertificateFiles[];
  /** `undefined` if the file does not say. */
  readonly skipVerify?: boolean;
  /** By their names in lower case; they go to this server and to nobody that it names. */
  readonly headers: ReadonlyMap<string, Secret>;
  /** Milliseconds that a connection may take. */
  readonly dialTimeout?: number;
}

/** What a directory of `certs.d` says about a registry. */
export interface HostsFile {
  /** The `hosts.toml`; the directory, where certificates are all that is in it. */
  readonly file: string;
  /** In the order in which they are asked; the last one is the `server`. */
  readonly servers: readonly HostServer[];
}

/** What to do about a mistake in a `hosts.toml`. */
export const HOSTS_HINT =
  "Mend the file; the registries that it is for are asked for nothing until then. --hosts-dir reads another directory.";

const CAPABILITIES: readonly HostCapability[] = ["pull", "resolve", "push", "referrers"];

/**
 * Reads a `hosts.toml`. Keys that it does not know are told, not refused.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file, line and key, and never a
 *   value of a header.
 */
export function parseHostsFile(
  file: string,
  bytes: Uint8Array,
): HostsFile & { readonly unknownKeys: readonly string[] } {
  const document = new TomlDocument(file, bytes, HOSTS_HINT);
  const { root } = document;
  const hosts = root.table("host");
  const mirrors = (hosts?.keys() ?? []).map((name) => {
    // It may hold a password, so that the name itself is in no message then.
    if (name.includes("@")) throw root.invalid("host", "has an entry with a user or a password");
    const table = hosts?.table(name);
    const url = readUrl(name, table, (what) => hosts?.invalid(name, what));
    return readServer(table ?? root, joinPath("host", name), { file, url, isMirror: true });
  });
  const server = root.string("server") || undefined;
  const url = server && readUrl(server, root, (what) => root.invalid("server", what));
  const last = readServer(root, "server", { file, url: url || undefined, isMirror: false });
  const unknownKeys = document.tables.flatMap((table) => table.unknownKeys());
  return { file, servers: [...mirrors, last], unknownKeys };
}

function readUrl(
  text: string,
  table: TomlTable | undefined,
  invalid: (what: string) => Error | undefined,
): ServerUrl {
  const url = parseServerUrl(text, { isWhole: table?.boolean("override_path") === true });
  if (typeof url === "string") throw invalid(url);
  return url;
}

function readServer(
  table: TomlTable,
  key: string,
  about: { readonly file: string; readonly url: ServerUrl | undefined; readonly isMirror: boolean },
): HostServer {
  const { file, url, isMirror } = about;
  const skipVerify = table.flag("skip_verify");
  const dialTimeout = readTimeout(table);
  // Known also where there is no URL that it could be about.
  table.boolean("override_path");
  return {
    key,
    ...(url !== undefined && { url }),
    capabilities: readCapabilities(table, isMirror),
    ca: readPaths(file, table, "ca"),
    client: readClient(file, table),
    ...(skipVerify !== undefined && { skipVerify }),
    headers: readHeaders(table.table("header")),
    ...(dialTimeout !== undefined && { dialTimeout }),
  };
}

/** A mirror that says nothing may be read from only: what is pushed there would be nowhere else. */
function readCapabilities(table: TomlTable, isMirror: boolean): ReadonlySet<HostCapability> {
  const named = table.strings("capabilities") ?? [];
  if (named.length === 0) {
    return new Set(CAPABILITIES.filter((one) => !isMirror || one !== "push"));
  }
  return new Set(
    named.map((name) => {
      const known = CAPABILITIES.find((one) => one === name.toLowerCase());
      if (known !== undefined) return known;
      throw table.invalid("capabilities", `has one that is none of ${CAPABILITIES.join(", ")}`);
    }),
  );
}

function readPaths(file: string, table: TomlTable, key: string): readonly string[] {
  const value = table.value(key);
  const paths = typeof value === "string" ? [value] : (table.strings(key) ?? []);
  return paths.map((path) => absolute(file, table, key, path));
}

function readClient(file: string, table: TomlTable): readonly ClientCertificateFiles[] {
  const key = "client";
  const value = table.value(key);
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map((entry: unknown) => {
    const [certificate, itsKey = "", ...more]: readonly unknown[] = [entry].flat();
    if (typeof certificate !== "string" || typeof itsKey !== "string" || more.length > 0) {
      throw table.invalid(key, "is no path, no list of paths, and no list of pairs of paths");
    }
    return {
      certificate: absolute(file, table, key, certificate),
      ...(itsKey !== "" && { key: absolute(file, table, key, itsKey) }),
    };
  });
}

function absolute(file: string, table: TomlTable, key: string, path: string): string {
  if (path !== "") return resolve(dirname(file), path);
  throw table.invalid(key, "has a path that is empty");
}

function readHeaders(table: TomlTable | undefined): ReadonlyMap<string, Secret> {
  const headers = new Map<string, Secret>();
  for (const name of table?.keys() ?? []) {
    const lower = name.toLowerCase();
    const value = table?.value(name);
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!isValidHeaderName(lower)) {
      throw table?.invalid(name, "is no header that may be chosen here");
    }
    if (headers.has(lower)) throw table?.invalid(name, "is there twice, in other letters");
    if (values.length === 0 || !values.every(isValidHeaderValue)) {
      throw table?.invalid(name, "is neither a text nor a list of texts that a header can hold");
    }
    headers.set(lower, new Secret(values.join(", ")));
  }
  return headers;
}

function readTimeout(table: TomlTable): number | undefined {
  const text = table.string("dial_timeout") || undefined;
  if (text === undefined) return undefined;
  const milliseconds = parseGoDuration(text);
  if (milliseconds !== undefined) return milliseconds;
  throw table.invalid("dial_timeout", "is no time over 0 such as 500ms, 3s or 1m30s");
}
