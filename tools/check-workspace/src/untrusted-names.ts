import type { WorkspacePackage } from "./workspace-package.ts";

/** What may be imported where names of an archive go by: calls on descriptors that are open. */
const ON_DESCRIPTORS = new Set([
  "closeSync",
  "fstatSync",
  "fsyncSync",
  "ftruncateSync",
  "readSync",
  "writeSync",
]);

/** Calls on paths of the store's own, by file. */
const ON_OWN_PATHS: Readonly<Record<string, readonly string[]>> = {
  "src/layer/unpack-layer.ts": ["statfs"],
  "src/layer/decode-blob.ts": ["openSync"],
};

/** Where names of an image may go by, in directories that are open. */
const DOORS: readonly string[] = ["src/layer/", "src/linux/"];

const BY_NAME_IN_DIRECTORY = /(?:At|Beneath)$/;
const FILE_CALLS = /\/linux\/(?:file-calls|file-metadata|xattr)\.ts$/;
const FILE_SYSTEM = /^node:(?:fs(?:\/promises)?|path)$/;
const PREFIX_TEST = /\.startsWith\(\s*(?:`\$\{|(?:\w+\.)*\w*(?:root|dir|directory|path)\b)/i;
const BELOW_IMAGE = /\bjoin\(\s*(?:[\w.]*\bdiffPath\(|(?:diff|lower|upper|mountPoint)\b)/;
const NAMES_AS_BYTES = /encoding:\s*"buffer"/;

/**
 * That names which came out of an image reach the file system through one door: what is in
 * `src/layer` takes them, with the calls of `src/linux`, which work in directories that are open and
 * follow nothing. Everywhere else names are the store's own.
 */
export function checkUntrustedNames({ name, sources }: WorkspacePackage): string[] {
  if (name !== "store") return [];
  return [...sources].flatMap(([path, text]) => {
    const isBehindDoor = DOORS.some((door) => path.startsWith(door));
    const breaches = importsOf(text).flatMap(([module, names]) =>
      names.flatMap((imported) => judge(path, module, imported) ?? []),
    );
    if (PREFIX_TEST.test(text)) breaches.push("a path is judged by how it begins");
    if (!isBehindDoor && BELOW_IMAGE.test(text))
      breaches.push("a path into an image is put together");
    if (!isBehindDoor && NAMES_AS_BYTES.test(text)) breaches.push("names are listed as bytes");
    return breaches.map((breach) => `${path}: ${breach}`);
  });
}

function judge(path: string, module: string, imported: string): string | undefined {
  if (path.startsWith("src/linux/")) return undefined;
  if (DOORS.some((door) => path.startsWith(door))) {
    const isKnown = ON_DESCRIPTORS.has(imported) || ON_OWN_PATHS[path]?.includes(imported) === true;
    if (!FILE_SYSTEM.test(module) || isKnown) return undefined;
    return `${imported} of ${module} takes a path, and names of a layer go by here`;
  }
  if (!FILE_CALLS.test(module) || !BY_NAME_IN_DIRECTORY.test(imported)) return undefined;
  return `${imported} is for those who know what a name of an image may be`;
}

function importsOf(text: string): readonly (readonly [string, readonly string[]])[] {
  const named = /import\s+(?:type\s+)?(?:\{([^}]*)\}|(?:\*\s+as\s+)?(\w+))\s+from\s+"([^"]+)"/g;
  return [...text.matchAll(named)].map(([, list, whole, module = ""]) => [
    module,
    (list ?? whole ?? "")
      .split(",")
      .map(
        (entry) =>
          entry
            .trim()
            .replace(/^type\s+/, "")
            .split(/\s+as\s+/)[0] ?? "",
      )
      .filter((entry) => entry !== ""),
  ]);
}
