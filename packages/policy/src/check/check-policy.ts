import { checkAnyOf, checkTogether } from "./check-combined.ts";
import { checkKeysOf, checkRelativePaths, checkWritableKeys, partsOf } from "./check-keys.ts";
import { checkSignatoryKeys } from "./check-signatory-keys.ts";
import { checkSignedName } from "./check-signed-name.ts";
import { checkAttachments } from "./check-attachments.ts";
import { checkKeyPairs } from "./check-key-pairs.ts";
import { checkLookasideFolders, checkRegistriesD } from "./check-registries-d.ts";
import type { JsonSteps } from "../internal/json-lines.ts";
import { lineOfProblem } from "../policy-lines.ts";
import { checkSectionFiles, checkSections } from "./check-sections.ts";
import { checkScopes, scopePath } from "./check-scopes.ts";
import type { Policy, PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import { readKeyFile } from "../key/key-material.ts";
import type { SigstoreSignedRequirement } from "../requirement/requirement-sigstore-signed.ts";
import { isDefaultIdentity } from "../requirement/signed-identity.ts";
import type { RegistriesD } from "../registries-d/registries-d.ts";
import type { PolicyProblem, RequirementPlace } from "./policy-problem.ts";

/** What {@link checkPolicy} looks at beside the policy. */
export interface CheckPolicyOptions {
  /** Where signatures are; without it nobody asks whether those beside images are looked at. */
  readonly registriesD?: RegistriesD | undefined;
  /** @defaultValue from this machine */
  readonly readKeyFile?: KeyFileReader | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Finds mistakes of a policy that loads: scopes that match nothing, keys that are none, and more. */
export async function checkPolicy(
  policy: Policy,
  options: CheckPolicyOptions = {},
): Promise<readonly PolicyProblem[]> {
  const { registriesD, readKeyFile: read = readKeyFile, signal } = options;
  const problems: PolicyProblem[] = [
    ...checkScopes(policy),
    ...checkDefault(policy),
    ...(registriesD === undefined ? [] : checkRegistriesD(registriesD, policy)),
    ...(registriesD === undefined ? [] : checkSections(registriesD, policy)),
    ...(registriesD === undefined ? [] : await checkLookasideFolders(registriesD)),
    ...(registriesD === undefined ? [] : await checkSectionFiles(registriesD)),
  ];
  for (const [place, requirements] of placesOf(policy)) {
    const { path } = place;
    const found = [...checkTogether(requirements, path), ...checkKeyPairs(requirements, path)];
    problems.push(...withLines(found, place));
  }
  for (const [place, requirement] of requirementsOf(policy)) {
    problems.push(...withLines(checkRequirement(requirement, place.path), place));
    problems.push(...(await checkKeysOf(requirement, place, read, signal)));
    problems.push(...(await checkRelativePaths(requirement, place, read, signal)));
    for (const [at, part] of partsOf(requirement, place)) {
      const { path } = at;
      if (part.type === "anyOf")
        problems.push(...withLines(await checkAnyOf(part, path, read, signal), at));
      problems.push(...withLines(checkSignedName(part, path), at));
      problems.push(...withLines(await checkSignatoryKeys(part, path, read, signal), at));
      problems.push(...withLines(await checkWritableKeys(part, path), at));
    }
    problems.push(...withLines(checkAttachments(requirement, place, registriesD), place));
  }
  return problems;
}

/**
 * Reads all keys and certificates that a policy names, and finds those that are none: the images that
 * a requirement with one of them judges are refused, and no others.
 */
export async function checkPolicyKeys(
  policy: Policy,
  options: Pick<CheckPolicyOptions, "readKeyFile" | "signal"> = {},
): Promise<readonly PolicyProblem[]> {
  const { readKeyFile: read = readKeyFile, signal } = options;
  const problems: PolicyProblem[] = [];
  for (const [place, requirement] of requirementsOf(policy)) {
    problems.push(...(await checkKeysOf(requirement, place, read, signal)));
  }
  return problems;
}

/** The same, with the line of each; behind the path of the place, theirs have words of the grammar. */
function withLines(
  problems: readonly PolicyProblem[],
  place: RequirementPlace,
): readonly PolicyProblem[] {
  return problems.map((problem) => {
    const inside = problem.path.slice(place.path.length).match(/\w+/g) ?? [];
    const steps = inside.map((step) => (/^\d/.test(step) ? Number(step) : step));
    const { severity, path, ...told } = problem;
    return { severity, path, ...place.lineOf(steps), ...told };
  });
}

function* requirementsOf(policy: Policy): Generator<[RequirementPlace, PolicyRequirement]> {
  for (const [place, requirements] of placesOf(policy)) {
    for (const [index, requirement] of requirements.entries()) {
      const lineOf: RequirementPlace["lineOf"] = (steps) => place.lineOf([index, ...steps]);
      yield [{ ...place, path: `${place.path}[${index}]`, lineOf }, requirement];
    }
  }
}

function* placesOf(policy: Policy): Generator<[RequirementPlace, readonly PolicyRequirement[]]> {
  const below =
    (...above: JsonSteps): RequirementPlace["lineOf"] =>
    (steps) =>
      lineOfProblem(policy, [...above, ...steps]);
  const lineOf = below("default");
  yield [{ transport: undefined, scope: "", path: "default", lineOf }, policy.default];
  for (const [transport, scopes] of Object.entries(policy.transports)) {
    for (const [scope, requirements] of Object.entries(scopes)) {
      const lineOf = below("transports", transport, scope);
      yield [{ transport, scope, path: scopePath(transport, scope), lineOf }, requirements];
    }
  }
}

function checkDefault(policy: Policy): readonly PolicyProblem[] {
  if (!policy.default.some(({ type }) => type === "insecureAcceptAnything")) return [];
  return [
    {
      severity: "warning",
      path: "default",
      ...lineOfProblem(policy, ["default"]),
      problem: "accepts every image that no scope covers",
      remedy: 'Make it [{"type": "reject"}], and name what is trusted.',
    },
  ];
}

/**
 * Who writes an identity knows what the signers write. Where there is none, the signatures of cosign,
 * which name the repository only, are refused, and those of skopeo and podman, which name the tag as
 * well, are not: these check them by a key in a file, and by no log.
 */
function checkIdentity(
  requirement: SigstoreSignedRequirement,
  path: string,
): readonly PolicyProblem[] {
  if (!isDefaultIdentity(requirement.signedIdentity)) return [];
  const keys = [
    ...("keyPath" in requirement ? [requirement.keyPath] : []),
    ...("keyPaths" in requirement ? requirement.keyPaths : []),
  ];
  const isPlain = keys.length > 0 && !keys.some((key) => /cosign/i.test(key));
  const hasLog = Object.keys(requirement).some((key) => key.startsWith("rekor"));
  return [
    {
      severity: isPlain && !hasLog ? "info" : "warning",
      path: `${path}.signedIdentity`,
      problem:
        "is not given, which means matchRepoDigestOrExact: that accepts signatures of skopeo and podman, and none of cosign, which names the repository only",
      remedy:
        'For images signed with cosign, set "signedIdentity": {"type": "matchRepository"}; for others, {"type": "matchRepoDigestOrExact"} says that it is meant.',
    },
  ];
}

function checkRequirement(requirement: PolicyRequirement, path: string): readonly PolicyProblem[] {
  switch (requirement.type) {
    case "signedBaseLayer":
      return [
        {
          severity: "error",
          path,
          problem: "denies every image: no tool gives signedBaseLayer a meaning",
          remedy: "Remove it.",
        },
      ];
    case "signedBy":
      if (requirement.keyType === "GPGKeys") return [];
      return [
        {
          severity: "error",
          path: `${path}.keyType`,
          problem: `denies every image: no tool gives ${requirement.keyType} a meaning`,
          remedy: "Make it GPGKeys.",
        },
      ];
    case "sigstoreSigned":
      return checkIdentity(requirement, path);
    case "sigstoreBundle": {
      if (!("identity" in requirement) || !("subject" in requirement.identity)) return [];
      if (!requirement.identity.subject.includes("*")) return [];
      return [
        {
          severity: "warning",
          path: `${path}.identity.subject`,
          problem: "has a *, which stands for itself there",
          remedy:
            "Write subjectPattern instead of subject: there, * is anything but a slash, and ** anything.",
        },
      ];
    }
    case "anyOf":
    case "audit":
      return requirement.requirements.flatMap((inner, index) =>
        checkRequirement(inner, `${path}.requirements[${index}]`),
      );
    default:
      return [];
  }
}
