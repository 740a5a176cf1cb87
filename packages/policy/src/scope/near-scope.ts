/**
 * Scopes that somebody most likely wrote for an image, and that are not its.
 *
 * @module
 */
import type { Policy, PolicyRequirement } from "../policy.ts";
import { lineOfScope } from "../policy-lines.ts";
import type { ChosenRequirements, ImageScopes } from "./policy-scope.ts";
import { withoutSecrets } from "./shown-scope.ts";
import { compareScopes, type ScopeLikeness, type SimilarScope } from "./similar-scope.ts";
import { isOneEditAway } from "./spelled-alike.ts";
import type { ConsideredScope } from "../verdict.ts";

/** A similar scope, and what it asks for. */
export interface NearScope {
  readonly similar: SimilarScope;
  readonly requirements: readonly PolicyRequirement[];
}

/** All of a policy that are similar, also those below a transport that is not the image's. */
export function findNearScopes(policy: Policy, image: ImageScopes): readonly NearScope[] {
  if (image.transport !== "docker") return [];
  const compare = compareScopes(image);
  return Object.entries(policy.transports).flatMap(([transport, scopes]) =>
    Object.entries(scopes).flatMap(([scope, requirements]) => {
      const found =
        transport !== "docker"
          ? compareElsewhere(transport, scope, image)
          : isWhole(scope)
            ? { meant: "" }
            : compare(scope);
      if (found === undefined) return [];
      const line = lineOfScope(policy, transport, scope);
      const similar = { scope: withoutSecrets(scope), ...found, ...(line && { line }) };
      return [{ similar, requirements }];
    }),
  );
}

/** As `*`, where the empty scope is meant. */
function isWhole(scope: string): boolean {
  return scope !== "" && /^[\s*/]*$/.test(scope);
}

/** A scope that would be the image's if it stood below its transport. */
function compareElsewhere(
  transport: string,
  scope: string,
  { identity, namespaces }: ImageScopes,
): (ScopeLikeness & Pick<SimilarScope, "transport">) | undefined {
  const name = scope.replace(/^\[[^\]]*\]/, "");
  const isSlip = isOneEditAway(transport.trim().toLowerCase(), "docker");
  const isOwn = name === "" ? isSlip : [identity, ...namespaces].includes(name);
  return isOwn
    ? { meant: name, doubt: "transport", transport: withoutSecrets(transport) }
    : undefined;
}

/** Those that ask for more than what was found, which lets everything in. */
export function bypassedOf(
  near: readonly NearScope[],
  { considered, requirements }: Pick<ChosenRequirements, "considered" | "requirements">,
): readonly SimilarScope[] {
  if (requirements.some(asks)) return [];
  const stricter = near.filter((one) => one.requirements.some(asks));
  return likeliestFirst(
    considered,
    stricter.map(({ similar }) => similar),
  );
}

/** Whether it keeps any image out. */
function asks({ type }: PolicyRequirement): boolean {
  return type !== "insecureAcceptAnything" && type !== "audit";
}

/** Those that would have gone before what was found, the one first that is most likely meant. */
export function likeliestFirst(
  considered: readonly ConsideredScope[],
  similar: readonly SimilarScope[],
): readonly SimilarScope[] {
  const missing = considered.filter(({ found }) => !found).map(({ text }) => text);
  return similar
    .filter(({ meant }) => missing.includes(meant))
    .toSorted((one, other) => rankOf(one) - rankOf(other));
}

const DOUBTS = [
  undefined,
  "transport",
  "pattern",
  "port",
  "hosts",
  "unnamed",
  "spelling",
  "tag",
  "registry",
] as const;

function rankOf({ doubt }: SimilarScope): number {
  return DOUBTS.indexOf(doubt);
}
