import { redactUrlText } from "../redact.ts";
import { RegistryError } from "../registry-error.ts";
import {
  isLinkLocalAddress,
  isPrivateAddress,
  isPrivateHost,
  literalAddressOf,
} from "../private-address.ts";

/** What {@link parseRealm} needs to know about the registry that named the realm. */
export interface RealmOptions {
  /** Where the registry answers. */
  readonly registry: URL;
  /** Whether plain HTTP was allowed for this registry. */
  readonly insecure: boolean;
}

/**
 * The URL of a token server, if the registry may name it: over TLS unless plain HTTP was allowed for
 * the registry, and not inside our own network unless the registry is there as well. A realm whose
 * host is a name must be connected to under a guarded lookup.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_REALM_REFUSED`.
 */
export async function parseRealm(realm: string, options: RealmOptions): Promise<URL> {
  const { registry, insecure } = options;
  const url = /^https?:\/\/[^/]/iu.test(realm) ? URL.parse(realm) : null;
  if (url === null) throw refused(realm, options, "is not an address of the web");
  if (url.username !== "" || url.password !== "") throw refused(realm, options, "has a password");
  if (url.protocol === "http:" && registry.protocol === "https:" && !insecure) {
    throw refused(realm, options, "is not secured by TLS");
  }
  url.hash = "";
  if (url.hostname === registry.hostname) return url;
  const literal = literalAddressOf(url.hostname);
  if (literal !== undefined && isPrivateAddress(literal)) {
    if (isLinkLocalAddress(literal) || !(await isPrivateHost(registry.hostname))) {
      throw refused(realm, options, "is at a private address");
    }
  }
  return url;
}

function refused(realm: string, { registry }: RealmOptions, why: string): RegistryError {
  return new RegistryError(
    "ERR_REGISTRY_REALM_REFUSED",
    `${registry.host} sends for tokens to ${redactUrlText(realm)}, which ${why}`,
    {
      hint: "Nothing was sent there. Ask who runs the registry to mend its token server's address.",
    },
  );
}
