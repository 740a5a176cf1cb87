import type { RegistryEvent, RegistrySettings } from "@stowage/runtime-shim";

import type { CommandContext } from "./command.ts";

/** The configuration that the global options name, and what became of it as lines on stderr. */
export async function registrySettings(context: CommandContext): Promise<RegistrySettings> {
  const { options, env } = context;
  const { createBandwidthLimit } = await import("@stowage/runtime-shim");
  const { resolve, limitRate, requestsPerSecond, rateLimits, http2 } = options;
  return {
    registriesConf: options.registriesConf,
    hostsDir: options.hostsDir,
    env,
    resolve,
    bandwidth: limitRate === undefined ? undefined : await createBandwidthLimit(limitRate),
    requestsPerSecond,
    http2,
    rateLimits,
    onWarning(message, cause) {
      const { audit } = (cause ?? {}) as { readonly audit?: unknown };
      context.warn(message, typeof audit === "string" ? { audit } : {});
    },
    onRegistryEvent: (event) => {
      const level = levelOf(event);
      if (level === "warn") context.warn(describe(event));
      else context.log(level, describe(event));
    },
  };
}

function levelOf(event: RegistryEvent): "debug" | "info" | "warn" {
  const { type } = event;
  // What the registry says to its users, they must be able to read.
  if (type === "exposed-file" || type === "warning" || type === "rate-limit-spent") return "warn";
  if (event.type === "mirror-failed") return event.tampering ? "warn" : "info";
  return event.type === "retry" ? "info" : "debug";
}

/** Every event alike, so that a log can be searched: its type, and its fields as `name=value`. */
function describe({ type, ...fields }: RegistryEvent): string {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${textOf(value)}`);
  return [type, ...words].join(" ");
}

function textOf(value: unknown): string {
  if (value === undefined) return "none";
  if (value instanceof Error) return JSON.stringify(value.message);
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(textOf).join(",");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s"]+$/.test(text) ? text : JSON.stringify(text);
}
