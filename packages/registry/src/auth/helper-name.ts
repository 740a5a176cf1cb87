// The name becomes part of a program's: no path, no option, nothing that a shell would look at.
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u;

/** Whether `docker-credential-<name>` may be run. */
export function isHelperName(name: unknown): name is string {
  return typeof name === "string" && HELPER_NAME.test(name);
}
