/**
 * Node's cache of what V8 compiled of this program: a sixth of the time of a short command.
 *
 * @module
 */
import { lstatSync, mkdirSync } from "node:fs";
// By its default export, which a Node that is too old, and must be told so, has as well.
import nodeModule from "node:module";
import { isAbsolute, join } from "node:path";

/**
 * Keeps compiled code in `/var/cache/stowage` for root, and for others in `stowage` below
 * `$XDG_CACHE_HOME` or `~/.cache`. Without such a folder, or if others may write to it, nothing is
 * kept: what lies there is run.
 */
export function keepCompiledCode(env: Readonly<Record<string, string | undefined>>): void {
  const uid = process.geteuid?.();
  const caches = uid === 0 ? "/var/cache" : cachesOf(env);
  if (caches === undefined || uid === undefined) return;
  const folder = join(caches, "stowage");
  if (isOnlyOf(uid, folder)) nodeModule.enableCompileCache(folder);
}

// Root does not follow the variables: `sudo` may leave it those of whoever called it.
function cachesOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_CACHE_HOME: caches = "", HOME: home = "" } = env;
  if (isAbsolute(caches)) return caches;
  return isAbsolute(home) ? join(home, ".cache") : undefined;
}

function isOnlyOf(user: number, folder: string): boolean {
  try {
    let found = lstatSync(folder, { throwIfNoEntry: false });
    if (found === undefined) {
      // The system's own folders are not for a command to make.
      mkdirSync(folder, { recursive: user !== 0, mode: 0o700 });
      found = lstatSync(folder);
    }
    return (found.mode & 0o170_022) === 0o040_000 && found.uid === user;
  } catch {
    // Where nothing can be kept, a command takes the longer.
    return false;
  }
}
