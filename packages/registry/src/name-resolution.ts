import { isIP, type LookupFunction } from "node:net";

import { RegistryError } from "./registry-error.ts";

/** Addresses by `host:port`, for names that are not to be looked up. */
export type NameResolution = Readonly<Record<string, string>>;

const PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/**
 * Checks what names are said to resolve to.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT` for a name without a port, for an
 *   address in a name's place, and for the reverse.
 */
export function checkResolution(resolve: NameResolution): ReadonlyMap<string, string> {
  const checked = new Map<string, string>();
  for (const [place, address] of Object.entries(resolve)) {
    const [, host = "", port = ""] = /^([^:[\]/@\s]+):(\d{1,5})$/u.exec(place) ?? [];
    if (host === "" || isIP(host) !== 0 || Number(port) > 65_535) {
      throw invalid(`resolve: ${JSON.stringify(place)} is no host:port`);
    }
    if (isIP(address) === 0) {
      throw invalid(`resolve: ${place}: ${JSON.stringify(address)} is no address`);
    }
    checked.set(`${host.toLowerCase()}:${Number(port)}`, address);
  }
  return checked;
}

/** The address that a URL's host was given, if it was. */
export function addressFor(
  resolution: ReadonlyMap<string, string>,
  { hostname, port, protocol }: URL,
): string | undefined {
  return resolution.get(`${hostname}:${port === "" ? PORTS[protocol] : port}`);
}

/** Finds this one address for every name; the name stays the one that TLS is held to. */
export function lookupOf(address: string): LookupFunction {
  const family = isIP(address);
  return (_hostname, options, callback) => {
    // As a real lookup does, which nobody is prepared to be answered by at once.
    process.nextTick(() =>
      options.all === true
        ? callback(null, [{ address, family }])
        : callback(null, address, family),
    );
  };
}

function invalid(message: string): RegistryError {
  const hint = 'Write resolve: { "registry.example:443": "192.0.2.7" }.';
  return new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message, { hint });
}
