import { lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A file of this machine. */
export interface RealFile {
  /** Absolute. */
  readonly path: string;
  readonly size: number;
}

const WORKSPACE_MODULES = fileURLToPath(new URL("../../../node_modules", import.meta.url));

/** Where many small files lie: what npm has installed, scripts, headers, documentation. */
export const SMALL_FILE_SOURCES: readonly string[] = [
  WORKSPACE_MODULES,
  "/usr/include",
  "/usr/lib/python3",
  "/usr/lib",
  "/usr/share",
];

/**
 * Regular files below directories that are there, in an order that is always the same, none twice.
 *
 * @param maxBytes - Larger ones are left out.
 */
export function* realFiles(
  sources: readonly string[],
  maxBytes = Number.POSITIVE_INFINITY,
): Generator<RealFile, void, undefined> {
  const seen = new Set<string>();
  for (const source of sources) {
    if (!statSync(source, { throwIfNoEntry: false })?.isDirectory()) continue;
    for (const file of filesBelow(source)) {
      if (file.size > maxBytes || seen.has(file.path)) continue;
      seen.add(file.path);
      yield file;
    }
  }
}

/** The first `count` of them, as many as there are. */
export function takeFiles(files: Iterable<RealFile>, count: number): readonly RealFile[] {
  const taken: RealFile[] = [];
  for (const file of files) {
    if (taken.length >= count) break;
    taken.push(file);
  }
  return taken;
}

/** The first of them that make up so many bytes, as many as there are. */
export function takeBytes(files: Iterable<RealFile>, bytes: number): readonly RealFile[] {
  const taken: RealFile[] = [];
  let sum = 0;
  for (const file of files) {
    if (sum >= bytes) break;
    taken.push(file);
    sum += file.size;
  }
  return taken;
}

function* filesBelow(directory: string): Generator<RealFile, void, undefined> {
  const entries = readdirSync(directory, { withFileTypes: true });
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    // One that is gone by now, or that a line of a list can not name, is left out.
    const stat = entry.isFile() ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (stat && !path.includes("\n")) yield { path, size: stat.size };
  }
}
