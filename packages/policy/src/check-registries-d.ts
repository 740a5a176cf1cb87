import { escapeText } from "@stowage/content";

import type { PolicyProblem } from "./check-policy.ts";
import { isLookaside, shownLookaside } from "./lookaside.ts";
import type { RegistriesD } from "./registries-d.ts";

/** Finds what a `registries.d` says in vain. */
export function checkRegistriesD(registriesD: RegistriesD): readonly PolicyProblem[] {
  const { docker, default: fallback, unknown = [] } = registriesD;
  const sections = [
    ...Object.entries(docker).map(
      ([scope, section]) => [`docker["${escapeText(scope, 160)}"]`, section] as const,
    ),
    ...(fallback === undefined ? [] : [["default-docker", fallback] as const]),
  ];
  return [
    ...unknown.map(({ file, path }): PolicyProblem => ({
      severity: "warning",
      path: escapeText(file),
      problem: `has ${path}, which means nothing there`,
      remedy:
        "A file has docker: or default-docker:, and a section of it lookaside, lookaside-staging or use-sigstore-attachments.",
    })),
    ...sections.flatMap(([path, { file, lookaside, lookasideAt }]): readonly PolicyProblem[] =>
      lookaside === undefined || isLookaside(lookaside)
        ? []
        : [
            {
              severity: "error",
              path: escapeText(file),
              problem: `has a lookaside that is none (${lookasideAt ?? path}): ${shownLookaside(lookaside)}`,
              remedy: "Write a URL of file:, https: or http:, as in file:///srv/signatures.",
            },
          ],
    ),
  ];
}
