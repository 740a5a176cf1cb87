/** As the package's manifest says. */
export function ownVersion(): string {
  // An import would load all that the module exports, its promises too: a tenth of Node's start.
  const { readFileSync } = process.getBuiltinModule("node:fs");
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
