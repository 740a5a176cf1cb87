/**
 * What an OCI runtime may see of this process's environment. Of the rest, some would change what it
 * does (`LD_PRELOAD`, `NOTIFY_SOCKET`), and some are secrets that are none of its business.
 */
const PASSED_ON = [
  "DBUS_SESSION_BUS_ADDRESS",
  "HOME",
  "LANG",
  "LC_ALL",
  "PATH",
  "TMPDIR",
  "TZ",
  "XDG_RUNTIME_DIR",
];

/** The environment that a runtime is given. */
export function runtimeEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(PASSED_ON.flatMap((name) => (name in env ? [[name, env[name]]] : [])));
}
