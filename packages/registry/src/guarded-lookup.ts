import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";

import { PRIVATE_ADDRESS_CODE } from "./network-failure.ts";
import {
  isLinkLocalAddress,
  isPrivateAddress,
  isPrivateHost,
  literalAddressOf,
} from "./private-address.ts";

/**
 * A name lookup for hosts that the registry at `registryHost` named. It fails on private addresses
 * unless the registry lives at one. Asked at connect time, so that a name that changes its address
 * between a check and its use gains nothing.
 */
export function guardedLookup(registryHost: string): LookupFunction {
  return (hostname, options, callback) => {
    const answer = async (): Promise<void> => {
      let addresses: readonly LookupAddress[];
      try {
        addresses = await lookup(hostname, { ...options, all: true });
        await requirePublic(
          addresses.map(({ address }) => address),
          registryHost,
        );
      } catch (error) {
        return callback(error as NodeJS.ErrnoException, "");
      }
      const { address, family } = addresses[0] ?? { address: "", family: 0 };
      return options.all === true
        ? callback(null, [...addresses])
        : callback(null, address, family);
    };
    void answer();
  };
}

/** The same for a host that is an address itself, which nobody looks up. */
export async function requirePublicLiteral(hostname: string, registryHost: string): Promise<void> {
  const literal = literalAddressOf(hostname);
  if (literal !== undefined) await requirePublic([literal], registryHost);
}

async function requirePublic(addresses: readonly string[], registryHost: string): Promise<void> {
  const hidden = addresses.some(isPrivateAddress) && !(await isPrivateHost(registryHost));
  if (addresses.length > 0 && !hidden && !addresses.some(isLinkLocalAddress)) return;
  const failure: NodeJS.ErrnoException = new Error("the address is private");
  failure.code = PRIVATE_ADDRESS_CODE;
  throw failure;
}
