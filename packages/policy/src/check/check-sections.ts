/**
 * Sections of `registries.d` that are well as they stand, and of no use to the policy.
 *
 * @module
 */
import { dirname } from "node:path";

import { scopesAbove } from "./check-attachments.ts";
import { problem, showSection } from "./check-registries-d.ts";
import type { PolicyProblem } from "./policy-problem.ts";
import { whoMayWrite } from "../internal/writable-by-anybody.ts";
import type { Policy } from "../policy.ts";
import type { RegistriesD } from "../registries-d/registries-d.ts";
import { KNOWN_HOSTS } from "../scope/lookalike-host.ts";
import { shownScope } from "../scope/shown-scope.ts";
import { isSpelledAlike } from "../scope/spelled-alike.ts";
import { isReachableDockerScope } from "../scope/transport-scope.ts";

/** Finds sections that nobody reads anything from, or whose name is nearly one of the policy's. */
export function checkSections(registriesD: RegistriesD, policy: Policy): readonly PolicyProblem[] {
  return [
    ...checkStaging(registriesD),
    ...checkNames(registriesD, Object.keys(policy.transports["docker"] ?? {})),
  ];
}

/** Finds files that anybody may write: who does says where signatures are. */
export async function checkSectionFiles({
  docker,
  default: fallback,
}: RegistriesD): Promise<readonly PolicyProblem[]> {
  const sections = [...Object.values(docker), ...(fallback === undefined ? [] : [fallback])];
  const problems: PolicyProblem[] = [];
  const folders = new Set<string>();
  for (const file of new Set(sections.map((section) => section.file))) {
    for (const { problem: what, remedy } of await whoMayWrite(file)) {
      // One folder has many files.
      if (what.includes("may replace")) {
        if (folders.has(dirname(file))) continue;
        folders.add(dirname(file));
      }
      problems.push(problem("warning", file, { problem: `is not safe: ${what}`, remedy }));
    }
  }
  return problems;
}

/** Where signatures are written to is for whoever signs; readers go on to a wider section. */
function checkStaging({ docker, default: fallback }: RegistriesD): readonly PolicyProblem[] {
  const named = Object.entries(docker).map(([scope, section]) => ({
    section,
    has: showSection(scope, section),
    wider: scopesAbove(scope).map((name) => docker[name]),
  }));
  const all =
    fallback === undefined
      ? []
      : [{ section: fallback, has: `default-docker in line ${fallback.line ?? "?"}`, wider: [] }];
  return [...named, ...all].flatMap(({ section, has, wider }): PolicyProblem[] => {
    const heard = [section, ...wider, fallback];
    if (section.lookasideStaging === undefined) return [];
    if (heard.some((one) => one?.lookaside !== undefined)) return [];
    return [
      problem("warning", section.file, {
        problem: `has ${has} with a lookaside-staging and no lookaside: the first is where signatures are written to, and nobody reads them there`,
        remedy: "Write lookaside, too, with the URL that they are read from.",
      }),
    ];
  });
}

/** A section that covers nothing of the policy, and nearly a scope of it. */
function checkNames({ docker }: RegistriesD, trusted: readonly string[]): readonly PolicyProblem[] {
  const scopes = trusted.filter((scope) => scope !== "" && isReachableDockerScope(scope));
  const above = new Set(scopes.flatMap(scopesAbove));
  return Object.entries(docker).flatMap(([scope, section]): PolicyProblem[] => {
    if (scope === "" || !isReachableDockerScope(scope)) return [];
    const own = scopesAbove(scope);
    if (above.has(scope) || own.some((name) => scopes.includes(name))) return [];
    const meant = [...above].find(
      (name) => !name.startsWith("*") && docker[name] === undefined && isNearly(name, scope),
    );
    if (meant === undefined) return [];
    return [
      problem("warning", section.file, {
        problem: `has ${showSection(scope, section)}, which covers nothing of ${shownScope(meant)}, as the policy calls what is spelt much like it`,
        remedy: `Write docker["${shownScope(meant)}"] if that is meant, or ${shownScope(scope)} in the policy if the slip is there.`,
      }),
    ];
  });
}

function isNearly(name: string, scope: string): boolean {
  if (name.toLowerCase() === scope.toLowerCase()) return true;
  const [host = "", other = ""] = [name, scope].map((text) => text.split("/", 1)[0]);
  if (host !== other && (other.length < MIN_HOST || KNOWN_HOSTS.includes(other))) return false;
  return isSpelledAlike(name, scope);
}

/** Of shorter ones, many are one letter apart, and all are meant. */
const MIN_HOST = 7;
