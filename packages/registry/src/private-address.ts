import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv4");
}
for (const [network, prefix] of [
  ["::", 127],
  ["64:ff9b::", 96],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv6");
}
const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet("169.254.0.0", 16, "ipv4");
LINK_LOCAL.addSubnet("fe80::", 10, "ipv6");

/** Whether nobody on the internet can be at `address`: loopback, private, link-local, … */
export function isPrivateAddress(address: string): boolean {
  return isListed(PRIVATE, address);
}

/** Whether `address` is where clouds keep their metadata service. */
export function isLinkLocalAddress(address: string): boolean {
  return isListed(LINK_LOCAL, address);
}

/** The address that a URL's host name is, if it is one; `localhost` is one by its name. */
export function literalAddressOf(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/gu, "");
  if (isIP(bare) !== 0) return bare;
  return /^(?:.*\.)?localhost\.?$/iu.test(bare) ? "127.0.0.1" : undefined;
}

/** Whether all that `hostname` resolves to is private; false if it does not resolve. */
export async function isPrivateHost(hostname: string): Promise<boolean> {
  const literal = literalAddressOf(hostname);
  if (literal !== undefined) return isPrivateAddress(literal);
  try {
    const addresses = await lookup(hostname, { all: true });
    return addresses.length > 0 && addresses.every(({ address }) => isPrivateAddress(address));
  } catch {
    return false;
  }
}

function isListed(list: BlockList, address: string): boolean {
  const mapped = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/iu.exec(
    address,
  );
  if (mapped !== null) return list.check(mapped[1] ?? dotted(mapped[2], mapped[3]), "ipv4");
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function dotted(high = "0", low = "0"): string {
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [upper >> 8, upper & 255, lower >> 8, lower & 255].join(".");
}
