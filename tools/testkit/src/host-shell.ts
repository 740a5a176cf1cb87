import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";

import type { TarEntry } from "./tar-writer.ts";

const COMMANDS = ["/bin/sh", "/bin/cat", "/bin/echo", "/bin/ls", "/bin/uname", "/bin/sleep"];
const PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";

/**
 * A small file system of this host's own files: a shell, a few commands and the libraries that they
 * need. What the host lacks is left out; a shell it has.
 */
export function hostShellEntries(): readonly TarEntry[] {
  const files = new Map<string, string>();
  for (const command of COMMANDS) {
    const source = tryRealPath(command);
    if (source === undefined) continue;
    files.set(command, source);
    for (const library of librariesOf(source)) files.set(library, realpathSync(library));
  }
  const directories = new Set<string>();
  for (const path of files.keys()) addParents(path, directories);
  for (const directory of ["/etc", "/proc", "/sys", "/dev", "/root", "/tmp"])
    directories.add(directory);
  return [
    ...[...directories].toSorted().map((path): TarEntry => ({
      name: `${path.slice(1)}/`,
      type: "directory",
      mode: path === "/tmp" ? 0o1777 : 0o755,
    })),
    ...[...files].map(([path, source]): TarEntry => ({
      name: path.slice(1),
      mode: 0o755,
      content: readFileSync(source),
    })),
    { name: "etc/passwd", content: PASSWD },
    { name: "etc/group", content: "root:x:0:\nnogroup:x:65534:\n" },
  ];
}

function tryRealPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

// The loader itself tells what it would load; a static program needs nothing, and ldd says so by failing.
function librariesOf(program: string): readonly string[] {
  try {
    const text = execFileSync("ldd", [program], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? "");
  } catch {
    return [];
  }
}

function addParents(path: string, directories: Set<string>): void {
  for (let parent = dirname(path); parent !== "/"; parent = dirname(parent))
    directories.add(parent);
}
