import type { WorkspacePackage } from "./workspace-package.ts";

const ENGINES = "^22.22.2 || ^24.15.0 || >=26.0.0";

// The promise of docs/design.md: what each package stands on. One more needs its reason there.
const RUNTIME_LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  // What its bundle leaves apart is found from there.
  cli: ["cli-progress", "commander", "koffi", "openpgp"],
  content: ["@noble/hashes"],
  "image-service": [],
  "pod-service": [],
  policy: ["openpgp", "@sigstore/verify", "@sigstore/bundle", "yaml"],
  reference: [],
  registry: ["undici", "smol-toml"],
  "registry-server": [],
  "runtime-shim": [],
  store: ["koffi"],
};

// Who may know whom. `turbo boundaries` holds the same graph, but counts what is reached through
// others, so that it cannot keep the top from reaching past the shim.
const SIBLINGS: Readonly<Record<string, readonly string[]>> = {
  cli: ["content", "reference", "registry-server", "runtime-shim"],
  content: [],
  "image-service": ["content", "reference", "store"],
  "pod-service": ["content", "store"],
  policy: ["content", "reference"],
  reference: ["content"],
  registry: ["content", "reference"],
  "registry-server": ["content", "reference"],
  "runtime-shim": [
    "content",
    "image-service",
    "pod-service",
    "policy",
    "reference",
    "registry",
    "registry-server",
    "store",
  ],
  store: ["content"],
};

/** That manifests are alike, references follow dependencies, and libraries are the promised ones. */
export function checkManifest({ name, manifest, references }: WorkspacePackage): string[] {
  const breaches: string[] = [];
  const expectField = (field: string, actual: unknown, expected: unknown) => {
    if (actual !== expected) breaches.push(`package.json: ${field} is not ${String(expected)}`);
  };
  expectField("name", manifest.name, name === "cli" ? "stowage" : `@stowage/${name}`);
  expectField("type", manifest.type, "module");
  expectField("license", manifest.license, "Apache-2.0");
  expectField("sideEffects", manifest.sideEffects, false);
  expectField("engines.node", manifest.engines?.node, ENGINES);
  expectField("exports", Object.keys(manifest.exports ?? {}).join(), ".,./package.json");
  for (const script of ["build", "check", "test", "typecheck"]) {
    if (manifest.scripts?.[script] === undefined)
      breaches.push(`package.json: no script ${script}`);
  }
  const dependencies = Object.keys(manifest.dependencies ?? {});
  const siblings = dependencies.filter((dependency) => dependency.startsWith("@stowage/"));
  const expected = siblings.map((sibling) => sibling.slice("@stowage/".length)).toSorted();
  if (references.toSorted().join() !== expected.join()) {
    breaches.push(`tsconfig.json: references are not the dependencies (${expected.join(", ")})`);
  }
  for (const sibling of expected) {
    if (!SIBLINGS[name]?.includes(sibling)) {
      breaches.push(`package.json: ${name} may not know ${sibling}`);
    }
  }
  for (const library of dependencies.filter((dependency) => !siblings.includes(dependency))) {
    if (!RUNTIME_LIBRARIES[name]?.includes(library)) {
      breaches.push(`package.json: ${library} is not a library that this package stands on`);
    }
  }
  return breaches;
}
