import { checkKeysOf, checkRelativePaths } from "./check-keys.ts";
import { checkAttachments } from "./check-attachments.ts";
import { checkKeyPairs } from "./check-key-pairs.ts";
import { checkLookasideFolders, checkRegistriesD } from "./check-registries-d.ts";
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
    ...(registriesD === undefined ? [] : await checkLookasideFolders(registriesD)),
  ];
  for (const [{ path }, requirements] of placesOf(policy)) {
    problems.push(...checkKeyPairs(requirements, path));
  }
  for (const [place, requirement] of requirementsOf(policy)) {
    problems.push(...checkRequirement(requirement, place.path));
    problems.push(...(await checkKeysOf(requirement, place.path, read, signal)));
    problems.push(...(await checkRelativePaths(requirement, place.path, read, signal)));
    problems.push(...checkAttachments(requirement, place, registriesD));
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
  for (const [{ path }, requirement] of requirementsOf(policy)) {
    problems.push(...(await checkKeysOf(requirement, path, read, signal)));
  }
  return problems;
}

function* requirementsOf(policy: Policy): Generator<[RequirementPlace, PolicyRequirement]> {
  for (const [place, requirements] of placesOf(policy)) {
    for (const [index, requirement] of requirements.entries()) {
      yield [{ ...place, path: `${place.path}[${index}]` }, requirement];
    }
  }
}

function* placesOf(policy: Policy): Generator<[RequirementPlace, readonly PolicyRequirement[]]> {
  yield [{ transport: undefined, scope: "", path: "default" }, policy.default];
  for (const [transport, scopes] of Object.entries(policy.transports)) {
    for (const [scope, requirements] of Object.entries(scopes)) {
      yield [{ transport, scope, path: scopePath(transport, scope) }, requirements];
    }
  }
}

function checkDefault({ default: requirements }: Policy): readonly PolicyProblem[] {
  if (!requirements.some(({ type }) => type === "insecureAcceptAnything")) return [];
  return [
    {
      severity: "warning",
      path: "default",
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
