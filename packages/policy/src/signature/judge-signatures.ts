import { escapeText, type Digest } from "@stowage/content";
import type { Reference } from "@stowage/reference";

import { identityRemedy } from "../requirement/identity-remedy.ts";
import { missingSignature } from "./missing-signature.ts";
import type { PolicyRequirement } from "../policy.ts";
import { markOtherKey } from "../requirement/several-signers.ts";
import { matchesIdentity } from "../requirement/reference-match.ts";
import type { ImageSignature } from "./signature.ts";
import type { SignaturePayload } from "./signature-payload.ts";
import type { RequirementSpot } from "../requirement/requirement-spot.ts";
import { SignatureRejection } from "./signature-rejection.ts";
import type { SignedIdentity } from "../requirement/signed-identity.ts";
import type { FoundSignatures, KeyFileReader } from "../ports.ts";
import type { RequirementVerdict, SignatureVerdict } from "../verdict.ts";

/** What requirements need to know to judge. */
export interface JudgeContext {
  /** As the user named the image, with one of tag and digest; not there for images in files. */
  readonly reference: Reference | undefined;
  readonly manifestDigest: Digest | undefined;
  readonly readKeyFile: KeyFileReader;
  readonly now: Date;
  readonly signal: AbortSignal | undefined;
  /** Of the requirement that is asked. */
  readonly spot: RequirementSpot;
  /** The signatures of the image; found once. */
  signatures(): Promise<FoundSignatures>;
}

/** What one signature came to, once its cryptography held. */
export interface AcceptedSignature {
  readonly signer: string;
  readonly identity?: string;
}

/** How {@link judgeSignatures} checks. */
export interface SignatureRule<Format extends ImageSignature["format"]> {
  readonly type: PolicyRequirement["type"];
  readonly format: Format;
  /** What such a signature is called: "GPG signature". */
  readonly noun: string;
  /** Resolves if it counts, throws a {@link SignatureRejection} if not. */
  readonly check: (
    signature: Extract<ImageSignature, { format: Format }>,
  ) => Promise<AcceptedSignature>;
  /** How many different signers are needed. @defaultValue 1 */
  readonly threshold?: number | undefined;
}

/** Allows if enough of the signatures of the rule's format count. All are looked at. */
export async function judgeSignatures<Format extends ImageSignature["format"]>(
  context: JudgeContext,
  rule: SignatureRule<Format>,
): Promise<RequirementVerdict> {
  const { type, format, check, threshold = 1 } = rule;
  const found = await context.signatures();
  const verdicts: SignatureVerdict[] = [];
  for (const signature of found.signatures) {
    context.signal?.throwIfAborted();
    if (signature.format !== format) continue;
    const own = signature as Extract<ImageSignature, { format: Format }>;
    verdicts.push(await judgeOne(own, () => check(own)));
  }
  const accepted = verdicts.filter((verdict) => verdict.accepted);
  // One signer who signs twice is still one.
  const signers = new Set(accepted.map(({ signer }) => signer));
  if (signers.size >= threshold) {
    const [first] = accepted;
    return { type, allowed: true, reason: first?.reason ?? "", signatures: verdicts };
  }
  return { type, allowed: false, ...denial(rule, verdicts, found), signatures: verdicts };
}

async function judgeOne(
  { format, origin }: ImageSignature,
  check: () => Promise<AcceptedSignature>,
): Promise<SignatureVerdict> {
  try {
    const { signer, identity } = await check();
    const named = identity === undefined ? "" : `, for ${escapeText(identity)}`;
    const reason = `it is signed by ${escapeText(signer)}${named}`;
    return {
      format,
      origin,
      accepted: true,
      reason,
      signer,
      ...(identity === undefined ? {} : { identity }),
    };
  } catch (error) {
    if (!(error instanceof SignatureRejection)) throw error;
    const { fault, message } = error;
    const remedy = error.remedy ?? (fault === "malformed" ? fetchAgain(origin) : undefined);
    const verdict: SignatureVerdict = {
      format,
      origin,
      accepted: false,
      fault,
      reason: escapeText(message, 2000),
      ...(remedy === undefined ? {} : { remedy }),
    };
    if (error.isOtherKey) markOtherKey(verdict);
    return verdict;
  }
}

/** What is to be done about one that is damaged; never to trust the image all the same. */
function fetchAgain(origin: string): string {
  return `Fetch the signature again (${escapeText(origin)}), or have the image signed again: this one is damaged, or somebody changed it.`;
}

function denial(
  { noun, format, threshold = 1 }: Omit<SignatureRule<ImageSignature["format"]>, "check">,
  verdicts: readonly SignatureVerdict[],
  found: FoundSignatures,
): Pick<RequirementVerdict, "reason" | "remedy"> {
  const [first] = verdicts;
  if (first === undefined) return missingSignature(noun, format, found);
  if (verdicts.length === 1 && !first.accepted) {
    return {
      reason: `the one ${noun} does not count: ${first.reason}`,
      ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
    };
  }
  const rejected = verdicts.filter(({ accepted }) => !accepted);
  const [nearest] = rejected.toSorted((a, b) => closeness(b) - closeness(a));
  const count = verdicts.length - rejected.length;
  const reasons = [...new Set(rejected.map(({ reason }) => reason))].slice(0, 5).join("; ");
  return {
    reason:
      threshold > 1
        ? `${count} of the ${verdicts.length} ${noun}s found count, ${threshold} different signers are needed${reasons && `: ${reasons}`}`
        : `none of the ${verdicts.length} ${noun}s count: ${reasons}`,
    remedy:
      nearest?.remedy ??
      `Have it signed by others as well: ${threshold} different ones are needed.`,
  };
}

// What is wrong in the least way is what the reader most likely meant.
function closeness({ fault }: SignatureVerdict): number {
  return ["malformed", "untrusted", "mismatch"].indexOf(fault ?? "malformed");
}

/** Holds what a signature claims to the image. @throws SignatureRejection */
export function requireClaims(
  { manifestDigest, dockerReference }: SignaturePayload,
  identity: SignedIdentity,
  context: Pick<JudgeContext, "manifestDigest" | "reference" | "spot">,
): void {
  if (context.manifestDigest === undefined || manifestDigest !== context.manifestDigest) {
    throw new SignatureRejection(
      "mismatch",
      `it is for the manifest ${escapeText(manifestDigest, 80)}, not for ${context.manifestDigest ?? "this image"}`,
      {
        remedy:
          "Have this very manifest signed. Of an index, each image has to be signed by itself.",
      },
    );
  }
  if (matchesIdentity(identity, context.reference, dockerReference)) return;
  throw new SignatureRejection(
    "mismatch",
    `it is for the name ${escapeText(dockerReference)}, which ${identity.type} does not accept for this image`,
    { remedy: identityRemedy(identity, context.reference, dockerReference, context.spot) },
  );
}
