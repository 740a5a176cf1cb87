/**
 * Requirements that stand together, in a scope or inside another, and make each other of no use.
 *
 * @module
 */
import type { PolicyProblem } from "./policy-problem.ts";
import { signersOf } from "./requirement-signers.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import type { AnyOfRequirement } from "../requirement/requirement-combined.ts";

/**
 * Finds what decides alone, whatever stands beside it.
 *
 * @param path - of the scope, as JSON.
 */
export function checkTogether(
  requirements: readonly PolicyRequirement[],
  path: string,
): readonly PolicyProblem[] {
  if (requirements.length > 1) {
    return requirements.flatMap(({ type }, index): PolicyProblem[] => {
      const at = `${path}[${index}]`;
      if (type === "reject") {
        return [
          {
            severity: "error",
            path: at,
            problem: "denies every image, whatever stands beside it: all of a scope have to be met",
            remedy: "Remove it, or all others if every image is to be denied.",
          },
        ];
      }
      if (type !== "insecureAcceptAnything") return [];
      return [
        {
          severity: "info",
          path: at,
          problem: "changes nothing beside others, all of which have to be met",
          remedy: "Remove it.",
        },
      ];
    });
  }
  if (requirements[0]?.type !== "audit") return [];
  return [
    {
      severity: "info",
      path: `${path}[0]`,
      problem: "only reports, and nothing stands beside it: every image is let in",
      remedy:
        "Once its reports are as they should be, put what it has inside in its place, to be asked for.",
    },
  ];
}

/** Finds what an `anyOf` lets in although it looks as if it asked for more. */
export async function checkAnyOf(
  requirement: AnyOfRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const { requirements, threshold = 1 } = requirement;
  const found = requirements.flatMap((part, index): PolicyProblem[] => {
    if (!isMetByAll(part)) return [];
    const rest =
      threshold === 1
        ? "so that all of this does"
        : `so that it counts as one of the ${threshold} that are needed`;
    return [
      {
        severity: "warning",
        path: `${path}.requirements[${index}]`,
        problem: `lets every image in, ${rest}`,
        remedy: "Remove it: of an anyOf, what lets everything in leaves nothing to the others.",
      },
    ];
  });
  if (threshold === 1) return found;
  return [...found, ...(await checkSigners(requirement, path, readKeyFile, signal))];
}

/** Whether no image is ever kept out by it. */
export function isMetByAll(requirement: PolicyRequirement): boolean {
  switch (requirement.type) {
    case "insecureAcceptAnything":
    case "audit":
      return true;
    case "anyOf": {
      const { requirements, threshold = 1 } = requirement;
      return requirements.filter(isMetByAll).length >= threshold;
    }
    default:
      return false;
  }
}

/** Each of several is to be by somebody else, or else a threshold is no threshold. */
async function checkSigners(
  { requirements, threshold }: AnyOfRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const places = new Map<string, number[]>();
  for (const [index, part] of requirements.entries()) {
    for (const signer of new Set(await signersOf(part, readKeyFile, signal)))
      places.set(signer, [...(places.get(signer) ?? []), index]);
  }
  const told = new Set<string>();
  return [...places].flatMap(([signer, indices]): PolicyProblem[] => {
    const which = indices.map((index) => `[${index}]`).join(" and ");
    if (indices.length < 2 || told.has(which)) return [];
    told.add(which);
    return [
      {
        severity: "warning",
        path: `${path}.threshold`,
        problem: `is ${threshold}, but ${signer} meets ${which} alone: whoever has it counts as ${indices.length}`,
        remedy: "Give each of its requirements other signers than the rest have.",
      },
    ];
  });
}
