import { chmodSync, mkdirSync } from "node:fs";

import type { TempDir } from "./docker-registry.ts";

/** A shell script as `docker-credential-<name>`, and a `PATH` that has it. */
export function writeHelper(directory: TempDir, name: string, script: string): string {
  mkdirSync(directory.file("bin"), { recursive: true });
  const path = directory.write(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return `${directory.file("bin")}:/usr/bin:/bin`;
}

/** A keychain of one file per server, which knows `get`, `store` and `erase`. */
export function keychainScript(directory: TempDir): string {
  mkdirSync(directory.file("keychain"), { recursive: true });
  return `
cd '${directory.file("keychain")}' || exit 9
text=$(cat)
case "$1" in
store) server=$(printf %s "$text" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')
  printf %s "$text" > "$(printf %s "$server" | tr / _)" ;;
get) f=$(printf %s "$text" | tr / _)
  if [ -f "$f" ]; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$(printf %s "$text" | tr / _)" ;;
esac`;
}
