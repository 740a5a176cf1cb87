import { join } from "node:path";

import type { RateLimitPolicy } from "@stowage/runtime-shim";

import { readResolution } from "./name-resolution.ts";
import { readCount, readSize } from "./quantity.ts";
import { readRateLimits } from "./rate-limit-option.ts";
import { UsageError } from "./usage-error.ts";

/** What every command takes; each has an environment variable `STOWAGE_…`. */
export interface GlobalOptions {
  readonly root: string;
  readonly runRoot: string;
  readonly policy: string | undefined;
  readonly policyDir: string | undefined;
  readonly registriesConf: string | undefined;
  readonly hostsDir: string | undefined;
  readonly registriesD: string | undefined;
  readonly authfile: string | undefined;
  readonly certDir: string | undefined;
  /** Addresses by `host:port`. */
  readonly resolve: Readonly<Record<string, string>>;
  /** Bytes a second. */
  readonly limitRate: number | undefined;
  readonly requestsPerSecond: number | undefined;
  readonly rateLimits: RateLimitPolicy | undefined;
  readonly logLevel: LogLevel;
  readonly format: Format;
  readonly http2: boolean;
  readonly quiet: boolean;
  readonly progress: boolean;
}

export type Format = "json" | "text";
export type LogLevel = "debug" | "error" | "info" | "warn";

/** Flag, environment variable and words of each global option, for the parser. */
export const GLOBAL_OPTIONS: readonly (readonly [
  flags: string,
  env: string,
  words: string,
  repeat?: "repeatable",
])[] = [
  ["--root <dir>", "STOWAGE_ROOT", "where images and containers are kept"],
  ["--run-root <dir>", "STOWAGE_RUN_ROOT", "where mounts and run directories are"],
  ["--policy <file>", "STOWAGE_POLICY", "the signature policy to read"],
  ["--policy-dir <dir>", "STOWAGE_POLICY_DIR", "policies of namespaces, as NAME.json"],
  ["--registries-conf <file>", "STOWAGE_REGISTRIES_CONF", "the registries.conf to read"],
  ["--hosts-dir <dir>", "STOWAGE_HOSTS_DIR", "a certs.d with containerd's hosts.toml files"],
  ["--registries-d <dir>", "STOWAGE_REGISTRIES_D", "where it says where signatures are"],
  ["--authfile <file>", "STOWAGE_AUTHFILE", "the credential file to read"],
  ["--cert-dir <dir>", "STOWAGE_CERT_DIR", "certificates of registries"],
  [
    "--resolve <host:port:address>",
    "STOWAGE_RESOLVE",
    "where to connect for a name; again for more",
    "repeatable",
  ],
  ["--limit-rate <size>", "STOWAGE_LIMIT_RATE", "bytes a second of all transfers, as 10MB"],
  ["--req-per-sec <number>", "STOWAGE_REQ_PER_SEC", "requests a second to one registry"],
  [
    "--on-rate-limit <what>",
    "STOWAGE_ON_RATE_LIMIT",
    "fail; a duration to wait, as 15m; next for the next mirror; next,15m",
  ],
  ["--log-level <level>", "STOWAGE_LOG_LEVEL", "error, warn, info or debug"],
  ["--format <format>", "STOWAGE_FORMAT", "text or json"],
];

type Values = Readonly<Record<string, unknown>>;
type Environment = Readonly<Record<string, string | undefined>>;

/** Settles the global options: flag, then environment, then what is usual for this user. */
export function readGlobalOptions(values: Values, env: Environment): GlobalOptions {
  const given = (name: string, variable: string): string | undefined => {
    const value = values[name];
    if (typeof value === "string") return value;
    // Of a script whose own variable is not set: what it means is not the usual place.
    if (env[variable] === "") throw new UsageError(`${variable} is empty`);
    return env[variable];
  };
  const usual = usualRoots(env);
  return {
    root: folder(given("root", "STOWAGE_ROOT") ?? usual.root, "--root"),
    runRoot: folder(given("runRoot", "STOWAGE_RUN_ROOT") ?? usual.runRoot, "--run-root"),
    policy: given("policy", "STOWAGE_POLICY"),
    policyDir: given("policyDir", "STOWAGE_POLICY_DIR"),
    registriesConf: given("registriesConf", "STOWAGE_REGISTRIES_CONF"),
    hostsDir: given("hostsDir", "STOWAGE_HOSTS_DIR"),
    registriesD: given("registriesD", "STOWAGE_REGISTRIES_D"),
    authfile: given("authfile", "STOWAGE_AUTHFILE"),
    certDir: given("certDir", "STOWAGE_CERT_DIR"),
    resolve: readResolution(listOf(values["resolve"]) ?? wordsOf(env["STOWAGE_RESOLVE"])),
    limitRate: overZero(
      readSize(given("limitRate", "STOWAGE_LIMIT_RATE"), "--limit-rate"),
      "--limit-rate",
    ),
    requestsPerSecond: overZero(
      readCount(given("reqPerSec", "STOWAGE_REQ_PER_SEC"), "--req-per-sec"),
      "--req-per-sec",
    ),
    rateLimits: readRateLimits(given("onRateLimit", "STOWAGE_ON_RATE_LIMIT")),
    logLevel: oneOf(
      given("logLevel", "STOWAGE_LOG_LEVEL") ?? "warn",
      ["error", "warn", "info", "debug"],
      "--log-level",
    ),
    format: oneOf(given("format", "STOWAGE_FORMAT") ?? "text", ["text", "json"], "--format"),
    http2: values["http2"] === true || isOn(env["STOWAGE_HTTP2"]),
    quiet: values["quiet"] === true || isOn(env["STOWAGE_QUIET"]),
    progress: values["progress"] !== false && !isOn(env["STOWAGE_NO_PROGRESS"]),
  };
}

function usualRoots(env: Environment): {
  readonly root: string | undefined;
  readonly runRoot: string | undefined;
} {
  if (process.getuid?.() === 0) return { root: "/var/lib/stowage", runRoot: "/run/stowage" };
  const home = env["HOME"];
  const data = env["XDG_DATA_HOME"] || (home && join(home, ".local/share"));
  const run = env["XDG_RUNTIME_DIR"] || (home && join(home, ".cache"));
  return {
    root: data ? join(data, "stowage") : undefined,
    runRoot: run ? join(run, "stowage-run") : undefined,
  };
}

// Whether it can be a store's place is for the store to say. A relative one cannot: what is found
// there would depend on where one stands.
function folder(path: string | undefined, flag: string): string {
  if (path !== undefined) return path;
  throw new UsageError("HOME is not set, so there is no usual place for images", {
    hint: `Give one with ${flag}.`,
  });
}

function listOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? (value as readonly string[]) : undefined;
}

function wordsOf(text: string | undefined): readonly string[] {
  return text?.split(/[\s,]+/u).filter((word) => word !== "") ?? [];
}

function overZero(value: number | undefined, flag: string): number | undefined {
  if (value !== 0) return value;
  throw new UsageError(`${flag} takes a number over 0: with none at all, nothing would happen`);
}

function oneOf<Value extends string>(text: string, values: readonly Value[], flag: string): Value {
  const found = values.find((value) => value === text);
  if (found === undefined) throw new UsageError(`${flag} takes ${values.join(", ")}`);
  return found;
}

function isOn(text: string | undefined): boolean {
  return text !== undefined && text !== "" && text !== "0" && text !== "false";
}
