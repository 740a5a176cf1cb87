import { escapeText } from "@stowage/content";

import type { PolicyProblem, RequirementPlace } from "./policy-problem.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { RegistriesD } from "../registries-d/registries-d.ts";
import type { SignatureSection } from "../registries-d/signature-section.ts";
import { howToCorrect } from "../registries-d/registries-d-remedy.ts";
import { shownScope } from "../scope/shown-scope.ts";

/** Finds requirements for signatures beside images where `registries.d` lets nobody look for any. */
export function checkAttachments(
  requirement: PolicyRequirement,
  { transport, scope, path }: RequirementPlace,
  registriesD: RegistriesD | undefined,
): readonly PolicyProblem[] {
  // What cannot be read may well say so.
  if (registriesD?.incomplete !== undefined) return [];
  if (registriesD === undefined || !needsAttachments(requirement)) return [];
  if (transport !== undefined && transport !== "docker") return [];
  const decided = decidedFor(scope, registriesD);
  if (decided?.[1].useSigstoreAttachments === true) return [];
  const write = howToCorrect(registriesD, decided, scope, { key: KEY, kind: "scope" });
  const why =
    decided === undefined
      ? `${escapeText(registriesD.directory)} does not enable them`
      : `${escapeText(decided[1].file)}, ${decided[1].attachmentsAt ?? KEY}, says no`;
  return [
    {
      severity: "error",
      path,
      problem: `needs signatures beside the image, which nobody looks for: ${why} for ${scope === "" ? "all images" : `"${shownScope(scope)}"`}`,
      remedy: `${write.slice(0, 1).toUpperCase()}${write.slice(1)}.`,
    },
  ];
}

const KEY = "use-sigstore-attachments";

function needsAttachments(requirement: PolicyRequirement): boolean {
  switch (requirement.type) {
    case "sigstoreSigned":
    case "sigstoreBundle":
      return true;
    case "anyOf":
    case "audit":
      return requirement.requirements.some(needsAttachments);
    default:
      return false;
  }
}

/** What stands at the scope, or above it, and says whether. */
function decidedFor(
  scope: string,
  { docker, default: fallback }: RegistriesD,
): readonly [string, SignatureSection] | undefined {
  return [...scopesAbove(scope), ""]
    .map((name) => [name, name === "" ? fallback : docker[name]] as const)
    .flatMap(([name, section]) => (section === undefined ? [] : [[name, section] as const]))
    .find(([, { useSigstoreAttachments }]) => useSigstoreAttachments !== undefined);
}

/** Under which names a section for it may stand, nearest first; the default is none of them. */
export function scopesAbove(scope: string): readonly string[] {
  if (scope === "") return [];
  const [repository = ""] = scope.split("@");
  const untagged = repository.replace(/:[^/:]*$/, (tag) => (repository.includes("/") ? "" : tag));
  const names = [scope, untagged];
  for (let end = untagged.lastIndexOf("/"); end > 0; end = untagged.lastIndexOf("/", end - 1)) {
    names.push(untagged.slice(0, end));
  }
  const [host = ""] = (untagged.split("/")[0] ?? "").split(":");
  const begin = host.startsWith("*.") ? 2 : 0;
  for (let dot = host.indexOf(".", begin); dot !== -1; dot = host.indexOf(".", dot + 1)) {
    names.push(`*${host.slice(dot)}`);
  }
  return names;
}
