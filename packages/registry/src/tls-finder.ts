import type { ConfigEvent } from "./config/config-event.ts";
import { readServerCertificates, withServerTls } from "./host-server-tls.ts";
import type { HostTlsLookup } from "./host-tls.ts";
import type { Place } from "./place.ts";
import type { TlsOptions } from "./tls-options.ts";

/** Whose TLS settings are wanted. */
export interface TlsWanted {
  /** Whether it is asked as the registry itself, not as a host that the registry redirects to. */
  readonly atRegistry: boolean;
  /** Whether it may see the certificate that was given for the registry alone. */
  readonly own: boolean;
}

/** The TLS settings of hosts, each looked up once. */
export class TlsFinder {
  readonly #given: TlsOptions | HostTlsLookup | undefined;
  readonly #onEvent: ((event: ConfigEvent) => void) | undefined;
  readonly #found = new Map<string, Promise<TlsOptions | undefined>>();

  constructor(
    given: TlsOptions | HostTlsLookup | undefined,
    onEvent: ((event: ConfigEvent) => void) | undefined,
  ) {
    this.#given = given;
    this.#onEvent = onEvent;
  }

  /** @param place - that is asked, or that sends to `host`. */
  find(host: string, place: Place, wanted: TlsWanted): Promise<TlsOptions | undefined> {
    const { insecure = false, key = "" } = place;
    const id = `${host} ${wanted.own} ${wanted.atRegistry} ${insecure} ${key}`;
    let found = this.#found.get(id);
    if (found === undefined) {
      found = this.#find(host, place, wanted);
      this.#found.set(id, found);
      found.catch(() => this.#found.delete(id));
    }
    return found;
  }

  /** What the caller says about whether a host must prove who it is; `undefined` if nothing. */
  async verify(host: string): Promise<boolean | undefined> {
    const given = this.#given;
    return (typeof given === "function" ? await given(host) : given)?.verify;
  }

  async #find(
    host: string,
    { insecure = false, server, file = "" }: Place,
    { own, atRegistry }: TlsWanted,
  ): Promise<TlsOptions | undefined> {
    const given = this.#given;
    let options = typeof given === "function" ? await given(host) : given;
    const isForAll = typeof given !== "function" || given.sameForAll === true;
    if (options !== undefined && isForAll && !(own && atRegistry)) {
      const { cert: _cert, key: _key, ...others } = options;
      options = others;
    }
    if (server !== undefined && server.ca.length + server.client.length > 0) {
      const { length: authorities } = server.ca;
      const client = server.client.length > 0;
      if (atRegistry) {
        this.#onEvent?.({ type: "certificates", host, source: file, authorities, client });
      }
    }
    if (server !== undefined) {
      const certificates = await readServerCertificates(server);
      options = withServerTls(options, server, certificates, { isForAll, own: atRegistry });
    }
    // Whoever says whether to verify means it, whatever the endpoint's table says.
    return insecure && options?.verify === undefined ? { ...options, verify: false } : options;
  }
}
