import type { RunCommand } from "../command.ts";
import { readBoolean } from "../boolean-flag.ts";
import { readLogin } from "../login-input.ts";
import { registrySettings } from "../registry-log.ts";
import { UsageError } from "../usage-error.ts";

export const login: RunCommand = async (context, { args: [registry = ""], flags }) => {
  const credentials = await readLogin(context, flags);
  const { logInToRegistry } = await import("@stowage/runtime-shim");
  const { authfile, certDir } = context.options;
  const loggedIn = await logInToRegistry(registry, credentials, {
    ...(await registrySettings(context)),
    authfile,
    certDir,
    tlsVerify: readBoolean(flags["tlsVerify"], "--tls-verify"),
    signal: context.signal,
  });
  if (!loggedIn.verified) {
    context.warn(`${loggedIn.registry} asked for no password, so it may be wrong`);
  }
  context.print(loggedIn, `logged in to ${loggedIn.registry}; stored in ${loggedIn.storedIn}`);
};

export const logout: RunCommand = async (context, { args: [registry], flags }) => {
  const all = flags["all"] === true;
  if (all === (registry !== undefined)) {
    throw new UsageError("logout takes a registry, or --all");
  }
  const { logOutOfRegistry } = await import("@stowage/runtime-shim");
  const loggedOut = await logOutOfRegistry(registry ?? { all: true }, {
    ...(await registrySettings(context)),
    authfile: context.options.authfile,
    signal: context.signal,
  });
  if (loggedOut.knownBy !== undefined) {
    context.warn(`${registry} is still known from ${loggedOut.knownBy}`);
  }
  context.print(loggedOut, loggedOut.removed.map((name) => `logged out of ${name}`).join("\n"));
};
