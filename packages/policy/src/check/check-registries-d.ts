import { escapeText } from "@stowage/content";

import type { PolicyProblem } from "./policy-problem.ts";
import { isLookaside, missingFolder, shownLookaside } from "../registries-d/lookaside.ts";
import { findLookalikes } from "../scope/lookalike-host.ts";
import type { Policy } from "../policy.ts";
import type { RegistriesD } from "../registries-d/registries-d.ts";
import type { SignatureSection } from "../registries-d/signature-section.ts";
import { meantKey, whyUnread } from "../registries-d/registries-d-remedy.ts";
import { suggestScope } from "../scope/suggest-scope.ts";
import { hasCredentials, shownScope } from "../scope/shown-scope.ts";
import { isReachableDockerScope } from "../scope/transport-scope.ts";

/** Finds what a `registries.d` says in vain, seen with the policy that it is for. */
export function checkRegistriesD(
  registriesD: RegistriesD,
  policy: Policy,
): readonly PolicyProblem[] {
  const { docker, default: fallback, unknown = [], unread = [] } = registriesD;
  const sections = [...Object.values(docker), ...(fallback === undefined ? [] : [fallback])];
  return [
    ...unread.map((file) => {
      const [why, what] = whyUnread(file);
      const remedy = `${what.slice(0, 1).toUpperCase()}${what.slice(1)}, and move it elsewhere if not.`;
      return problem("warning", file, { problem: why, remedy });
    }),
    ...unknown.map(({ file, path, line }) =>
      problem("warning", file, {
        problem: `has ${path} in line ${line ?? "?"}, which means nothing there`,
        remedy: remedyFor(path),
      }),
    ),
    ...sections.flatMap(checkLookaside),
    ...Object.entries(docker).flatMap(([scope, section]) => checkScope(scope, section)),
    ...checkPorts(docker, Object.keys(policy.transports["docker"] ?? {})),
  ];
}

/** Finds lookasides whose folders are not there. */
export async function checkLookasideFolders({
  docker,
  default: fallback,
}: RegistriesD): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const { file, lookaside = "", lookasideAt = "lookaside" } of [
    ...Object.values(docker),
    ...(fallback === undefined ? [] : [fallback]),
  ]) {
    const missing = await missingFolder(lookaside);
    if (missing === undefined) continue;
    problems.push(
      problem("warning", file, {
        problem: `has a lookaside (${lookasideAt}) whose folder is not there: ${escapeText(missing)}`,
        remedy: "Correct the line, or make the folder: until then no image has signatures there.",
      }),
    );
  }
  return problems;
}

function remedyFor(path: string): string {
  const key = path.slice(path.lastIndexOf(".") + 1);
  const meant = /^(?:docker\[.*\]|default-docker)\.[^.]*$/.test(path) ? meantKey(key) : undefined;
  return meant === undefined
    ? "A file has docker: or default-docker:, and a section of it lookaside, lookaside-staging or use-sigstore-attachments."
    : `Write ${meant}.`;
}

function checkLookaside({ file, lookaside, lookasideAt }: SignatureSection): PolicyProblem[] {
  if (lookaside === undefined || isLookaside(lookaside)) return [];
  return [
    problem("error", file, {
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      problem: `has a lookaside that is none (${lookasideAt ?? "lookaside"}): ${shownLookaside(lookaside)}`,
      remedy: hasCredentials(lookaside)
        ? "Write it without a user and a password, and change the password if it was one: whoever may read the file knows it."
        : "Write a URL of file:, https: or http:, as in file:///srv/signatures.",
    }),
  ];
}

function checkScope(scope: string, section: SignatureSection): PolicyProblem[] {
  const { file } = section;
  const has = `has ${showSection(scope, section)}`;
  const [alike] = findLookalikes([scope]);
  const write = alike && `Write ${shownScope(alike.meant)} if that is meant.`;
  if (scope === "" || !isReachableDockerScope(scope)) {
    return [
      problem("error", file, {
        problem: `${has}, which can match no image`,
        remedy:
          scope === "" ? "Write default-docker: for all images." : (write ?? suggestScope(scope)),
      }),
    ];
  }
  if (alike === undefined || write === undefined) return [];
  return [
    problem("warning", file, {
      problem: `${has}, which looks like ${shownScope(alike.meant)}, and is not: ${alike.why}`,
      remedy: write,
    }),
  ];
}

/** A registry's port is part of its name, which one of the two files leaves out. */
function checkPorts(
  docker: RegistriesD["docker"],
  trusted: readonly string[],
): readonly PolicyProblem[] {
  const known = new Set(trusted.map(hostOf));
  return Object.entries(docker).flatMap(([scope, section]) => {
    const host = hostOf(scope);
    if (known.has(host)) return [];
    const meantBy = (name: string): string => name + scope.slice(host.length);
    const other = [...known].find(
      (name) => withoutPort(name) === withoutPort(host) && !saysAll(docker[meantBy(name)], section),
    );
    if (other === undefined) return [];
    const meant = shownScope(meantBy(other));
    const has = docker[meantBy(other)];
    const write =
      has === undefined
        ? `write docker["${meant}"] here`
        : `move what it says to docker["${meant}"] in ${escapeText(has.file)}, line ${has.line ?? "?"},`;
    return problem("warning", section.file, {
      problem: `has ${showSection(scope, section)}, which covers nothing of ${shownScope(other)}, as the policy calls the registry`,
      remedy: `The port is part of a registry's name: ${write} if images are asked for as ${shownScope(other)}/…, or ${shownScope(host)} in the policy if they are asked for as ${shownScope(host)}/….`,
    });
  });
}

/** Whether the one that is heard has a word on everything that the other says. */
function saysAll(heard: SignatureSection | undefined, other: SignatureSection): boolean {
  return (
    heard !== undefined &&
    (heard.lookaside !== undefined || other.lookaside === undefined) &&
    (heard.useSigstoreAttachments !== undefined || other.useSigstoreAttachments === undefined)
  );
}

function hostOf(scope: string): string {
  return scope.split("/")[0] ?? "";
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, "");
}

/** A section, and where it is in its file. */
export function showSection(scope: string, { line }: SignatureSection): string {
  return `docker["${shownScope(scope)}"] in line ${line ?? "?"}`;
}

/** Something wrong with a file of `registries.d`. */
export function problem(
  severity: PolicyProblem["severity"],
  file: string,
  what: Pick<PolicyProblem, "code" | "problem" | "remedy">,
): PolicyProblem {
  return { severity, path: escapeText(file), ...what };
}
