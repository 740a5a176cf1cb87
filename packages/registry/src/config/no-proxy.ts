import { BlockList, isIP } from "node:net";

type Rule = (host: string, port: string) => boolean;

/**
 * Reads `NO_PROXY` as Go's tools do: hosts with their subdomains, `.domain` and `*.domain` for
 * subdomains alone, addresses, CIDR blocks, each with a port if wanted, or `*` for all. Entries that
 * are none of these mean nothing.
 *
 * @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
export function parseNoProxy(text: string): (url: URL) => boolean {
  const rules = text
    .split(/[\s,]+/u)
    .filter((entry) => entry !== "")
    .map((entry) => parseEntry(entry.toLowerCase()));
  return (url) => {
    const host = bareHost(url);
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    return rules.some((matches) => matches(host, port));
  };
}

/** Whether a host is this very machine, which no proxy is asked for. */
export function isLoopback(url: URL): boolean {
  const host = bareHost(url);
  if (isIP(host) === 0) return host === "localhost";
  return LOOPBACK.check(host, familyOf(host)) || /^::ffff:7f[0-9a-f]{2}:/u.test(host);
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

function parseEntry(entry: string): Rule {
  if (entry === "*") return () => true;
  const [, network, bits] = /^([0-9a-f:.]+)\/([0-9]{1,3})$/u.exec(entry) ?? [];
  if (network !== undefined && bits !== undefined) return blockRule(network, Number(bits));
  const [, name = "", wanted] = /^(.*?)(?::([0-9]+))?$/u.exec(unbracket(entry)) ?? [];
  const onPort = (rule: (host: string) => boolean): Rule => {
    return (host, port) => (wanted === undefined || wanted === port) && rule(host);
  };
  const isAddress = isIP(unbracket(entry)) !== 0;
  if (isAddress) return (host) => host === unbracket(entry);
  const bare = name.replace(/^\[(.*)\]$/u, "$1").replace(/\.$/u, "");
  if (isIP(bare) !== 0) return onPort((host) => host === bare);
  const domain = bare.replace(/^\*\./u, ".");
  if (domain.startsWith(".")) return onPort((host) => host.endsWith(domain));
  return onPort((host) => domain !== "" && (host === domain || host.endsWith(`.${domain}`)));
}

function blockRule(network: string, bits: number): Rule {
  const family = familyOf(network);
  if (isIP(network) === 0 || bits > (family === "ipv4" ? 32 : 128)) return () => false;
  const block = new BlockList();
  block.addSubnet(network, bits, family);
  return (host) => isIP(host) !== 0 && block.check(host, familyOf(host));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

function bareHost(url: URL): string {
  return unbracket(url.hostname.toLowerCase()).replace(/\.$/u, "");
}

function unbracket(host: string): string {
  return host.replace(/^\[([^\]]*)\]$/u, "$1");
}
