import type { WorkspacePackage } from "./workspace-package.ts";

const HEADINGS = ["## Install", "## Use", "## Errors", "## Boundaries"];

/** That what is public was chosen by hand, and that the README has its rooms. */
export function checkPublicSurface({ sources, readme }: WorkspacePackage): string[] {
  const index = sources.get("src/index.ts");
  return [
    ...(index === undefined ? ["src/index.ts: missing"] : []),
    ...(index !== undefined && /^export \*/m.test(index) ? ["src/index.ts: export *"] : []),
    ...HEADINGS.filter((heading) => !readme.includes(`\n${heading}`)).map(
      (heading) => `README.md: no "${heading}"`,
    ),
  ];
}
