import { once } from "node:events";

import type { RunCommand } from "../command.ts";
import { readCredentials } from "../credentials-input.ts";
import { runtimeOptions } from "../open-runtime.ts";
import { UsageError } from "../usage-error.ts";

const DEFAULT_PORT = 5000;

export const serve: RunCommand = async (context, { flags }) => {
  const { host, port: text, writable: isWritable, credsStdin } = flags;
  const port = readPort(text);
  const auth = credsStdin === true ? await readCredentials(context) : undefined;
  const writable = isWritable === true;
  const { signal } = context;
  const { serveStore } = await import("@stowage/runtime-shim");
  await using server = await serveStore({
    ...(await runtimeOptions(context)),
    writable,
    auth,
  });
  const listening = await server.listen({
    host: typeof host === "string" ? host : undefined,
    port,
  });
  if (!isLoopback(listening.url)) {
    const who = auth === undefined ? "whoever reaches it" : "who knows the password";
    const what = writable ? "read, push and remove what is here" : "read what is here";
    const wayOut = auth === undefined ? "; --creds-stdin asks for a password" : "";
    context.warn(`${listening.url} is in plain HTTP, and lets ${who} ${what}${wayOut}`);
  }
  context.print({ ...listening, writable }, listening.url);
  if (!signal.aborted) await once(signal, "abort");
};

function readPort(text: unknown): number {
  if (text === undefined) return DEFAULT_PORT;
  const port = typeof text === "string" && /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UsageError("--port takes a number up to 65535");
}

/** Whether only this machine can reach a server; the address is the one that it listens on. */
function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === "[::1]" || hostname.startsWith("127.");
}
