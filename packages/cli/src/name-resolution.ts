import { isIP } from "node:net";

import { UsageError } from "./usage-error.ts";

/** Reads `HOST:PORT:ADDRESS`, as curl and oras write it, into what each `host:port` means. */
export function readResolution(texts: readonly string[]): Readonly<Record<string, string>> {
  const resolution: Record<string, string> = {};
  for (const text of texts) {
    const [, place = "", bare = ""] = /^([^:[\]/@\s]+:\d{1,5}):(.+)$/u.exec(text) ?? [];
    const address = bare.replace(/^\[(.*)\]$/u, "$1");
    if (place === "" || isIP(place.replace(/:\d+$/u, "")) !== 0 || isIP(address) === 0) {
      throw new UsageError("--resolve takes HOST:PORT:ADDRESS, as registry.example:443:192.0.2.7");
    }
    if (Object.hasOwn(resolution, place))
      throw new UsageError(`--resolve: ${place} is given twice`);
    resolution[place] = address;
  }
  return resolution;
}
