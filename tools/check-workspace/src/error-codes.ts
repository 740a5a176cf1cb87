import type { WorkspacePackage } from "./workspace-package.ts";

/** That every error code of a package stands in its README and in one of its tests. */
export function checkErrorCodes({ name, sources, tests, readme }: WorkspacePackage): string[] {
  const prefix = name === "cli" ? "STOWAGE|CLI" : "[A-Z]+";
  const declared = new Set<string>();
  for (const [path, text] of sources) {
    if (!path.endsWith("-error.ts")) continue;
    for (const [code] of text.matchAll(new RegExp(`\\bERR_(?:${prefix})_[A-Z0-9_]+\\b`, "g")))
      declared.add(code);
  }
  const tested = [...tests.values()].join("\n");
  return [...declared].flatMap((code) => [
    ...(readme.includes(code) ? [] : [`README.md: ${code} is not listed`]),
    ...(tested.includes(code) ? [] : [`test: no test sees ${code}`]),
  ]);
}
