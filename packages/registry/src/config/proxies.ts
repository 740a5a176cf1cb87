import { Secret } from "../auth/secret.ts";
import { loadHostTls } from "../host-tls.ts";
import { type Proxy, type ProxyLookup, proxyName } from "../proxy.ts";
import { RegistryError } from "../registry-error.ts";
import type { ConfigEventOptions } from "./config-event.ts";
import { isLoopback, parseNoProxy } from "./no-proxy.ts";

/** Where {@link loadProxies} looks. */
export interface LoadProxiesOptions extends ConfigEventOptions {
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SCHEMES: ReadonlySet<string> = new Set(["http:", "https:", "socks5:", "socks5h:"]);

/**
 * The proxies of the environment: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of what is asked for,
 * else `ALL_PROXY`; unless `NO_PROXY` names the host. Each also in lower case, where the upper case
 * is not set. This very machine is always reached directly.
 *
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_PROXY` when looked up, for a variable that
 *   holds no address of a proxy; never with its value, which may hold a password.
 */
export function loadProxies(options: LoadProxiesOptions = {}): ProxyLookup {
  const { env = process.env, onEvent } = options;
  const [noProxyVariable, noProxy] = firstOf(env, "NO_PROXY") ?? ["NO_PROXY", ""];
  const isExcepted = parseNoProxy(noProxy);
  const proxies = new Map<string, Proxy>();
  const told = new Set<string>();
  return (url) => {
    const found = variableFor(url, env);
    if (found === undefined || isLoopback(url)) return undefined;
    const [variable, text] = found;
    const excepted = isExcepted(url);
    let proxy = proxies.get(variable);
    if (proxy === undefined) proxies.set(variable, (proxy = parseProxy(variable, text, env)));
    if (!told.has(url.origin)) {
      told.add(url.origin);
      const shown = excepted ? undefined : proxyName(proxy);
      const decided = excepted ? noProxyVariable : variable;
      onEvent?.({ type: "proxy", origin: url.origin, proxy: shown, variable: decided });
    }
    return excepted ? undefined : proxy;
  };
}

function variableFor(url: URL, env: Environment): readonly [string, string] | undefined {
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  return firstOf(env, name) ?? firstOf(env, "ALL_PROXY");
}

function firstOf(env: Environment, name: string): readonly [string, string] | undefined {
  for (const variable of [name, name.toLowerCase()]) {
    // To a CGI program, HTTP_PROXY is what a client has sent as its Proxy header.
    if (variable === "HTTP_PROXY" && env["REQUEST_METHOD"]) continue;
    const text = env[variable]?.trim();
    if (text) return [variable, text];
  }
  return undefined;
}

function parseProxy(variable: string, text: string, env: Environment): Proxy {
  const given = URL.parse(text.includes("://") ? text : `http://${text}`);
  const isPlain = given !== null && /^\/?$/u.test(given.pathname) && !/[?#]/u.test(given.href);
  if (given === null || !isPlain || !SCHEMES.has(given.protocol) || given.hostname === "") {
    throw invalidProxy(variable);
  }
  let username: string;
  let password: string;
  try {
    username = decodeURIComponent(given.username);
    password = decodeURIComponent(given.password);
  } catch {
    throw invalidProxy(variable);
  }
  if (/[\u0000-\u001f\u007f]/u.test(username + password)) throw invalidProxy(variable);
  // What is asked of the environment must not be shown by whoever prints the proxy.
  const url = new URL(`${given.protocol}//${given.host}`);
  const login =
    username === "" && password === "" ? undefined : { username, secret: new Secret(password) };
  const hostTls = loadHostTls({ env });
  return { url, login, tls: () => hostTls(url.host) };
}

function invalidProxy(variable: string): RegistryError {
  return new RegistryError(
    "ERR_REGISTRY_INVALID_PROXY",
    `the environment variable ${variable} holds no address of a proxy`,
    {
      hint: "Write http://host:port, https://host:port or socks5://host:port, with user:password@ before the host if it wants one; or unset it.",
    },
  );
}
