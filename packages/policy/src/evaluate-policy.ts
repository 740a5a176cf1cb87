import { type Digest, escapeText, hasErrorCode } from "@stowage/content";
import { type Reference, withDefaultTag, withoutTagIfDigested } from "@stowage/reference";

import { judgeAnyOf, judgeAudit } from "./requirement/requirement-combined.ts";
import type { JudgeContext } from "./signature/judge-signatures.ts";
import { fieldOfInvalidKey } from "./key/key-field.ts";
import { wantedKey } from "./key/wanted-key.ts";
import { keyRemedy, readKeyFile } from "./key/key-material.ts";
import { bypassedOf, findNearScopes } from "./scope/near-scope.ts";
import type { Policy, PolicyRequirement } from "./policy.ts";
import { lineInPolicy } from "./policy-lines.ts";
import { chooseRequirements, scopesOf } from "./scope/policy-scope.ts";
import type { PolicySubject } from "./policy-subject.ts";
import type { FoundSignatures, KeyFileReader, SignatureSource } from "./ports.ts";
import { PolicyError } from "./policy-error.ts";
import { rejection } from "./rejection.ts";
import { explainSeveralSigners } from "./requirement/several-signers.ts";
import { showSpot } from "./requirement/requirement-spot.ts";
import { judgeInsecureAcceptAnything } from "./requirement/requirement-insecure-accept-anything.ts";
import { judgeReject } from "./requirement/requirement-reject.ts";
import { judgeSignedBaseLayer } from "./requirement/requirement-signed-base-layer.ts";
import { judgeSignedBy } from "./requirement/requirement-signed-by.ts";
import { judgeSigstoreBundle } from "./sigstore/judge-sigstore-bundle.ts";
import { judgeSigstoreSigned } from "./sigstore/judge-sigstore-signed.ts";
import type { PolicyVerdict, RequirementVerdict } from "./verdict.ts";

/** What an evaluator is made of. */
export interface PolicyEvaluatorOptions {
  readonly policy: Policy;
  /** Where `policy` was read from, for verdicts and messages. */
  readonly file?: string | undefined;
  /** Of the policy's bytes; verdicts are bound to it. */
  readonly digest?: Digest | undefined;
  /** Where signatures are. Without it no image has any. */
  readonly signatures?: SignatureSource | undefined;
  /** How the files that requirements name are read. @defaultValue from this machine */
  readonly readKeyFile?: KeyFileReader | undefined;
  /** What time it is, for keys and certificates. @defaultValue the clock's */
  readonly now?: (() => Date) | undefined;
}

/** How one question is asked. */
export interface EvaluatePolicyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Allow only if some requirement verified a signature. @defaultValue false */
  readonly requireSigned?: boolean | undefined;
}

/** Asks one policy. It is read once, so every answer is of the same snapshot. */
export interface PolicyEvaluator {
  /**
   * Says what the policy says, for people and tools. Use {@link PolicyEvaluator.requireAllowed}
   * where an image is about to be used: a verdict that nobody looks at keeps nothing out.
   *
   * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if the subject's path is not clean;
   *   what the source of signatures throws comes through: what could not be read is not absent. If
   *   that is a {@link PolicyError}, it has as its verdict what is known all the same.
   */
  evaluate(subject: PolicySubject, options?: EvaluatePolicyOptions): Promise<PolicyVerdict>;
  /**
   * Resolves only if the image may be used, to the verdict that says so.
   *
   * @throws {@link PolicyError} `ERR_POLICY_REJECTED` with the verdict; `ERR_POLICY_INVALID_KEY` if
   *   what denies names a key that is none; or as `evaluate` does.
   */
  requireAllowed(subject: PolicySubject, options?: EvaluatePolicyOptions): Promise<PolicyVerdict>;
}

export function createPolicyEvaluator(options: PolicyEvaluatorOptions): PolicyEvaluator {
  const evaluator: PolicyEvaluator = {
    async evaluate(subject, how = {}) {
      how.signal?.throwIfAborted();
      return await evaluate(options, subject, how);
    },
    async requireAllowed(subject, how) {
      const verdict = await evaluator.evaluate(subject, how);
      if (!verdict.allowed) throw rejection(verdict);
      return verdict;
    },
  };
  return evaluator;
}

async function evaluate(
  options: PolicyEvaluatorOptions,
  subject: PolicySubject,
  { signal, requireSigned = false }: EvaluatePolicyOptions,
): Promise<PolicyVerdict> {
  const { policy, file, digest } = options;
  const image = scopesOf(subject);
  const { scope, considered, requirements } = chooseRequirements(policy, image);
  const near = findNearScopes(policy, image);
  const similar = near.map((one) => one.similar);
  const bypassed = bypassedOf(near, { considered, requirements });
  const finding = findOnce(options.signatures, subject, signal);
  const context: JudgeContext = {
    reference: referenceOf(subject),
    manifestDigest: subject.manifestDigest,
    readKeyFile: options.readKeyFile ?? readKeyFile,
    now: options.now?.() ?? new Date(),
    signal,
    spot: {
      file,
      transport: image.transport,
      hasTransport: Object.hasOwn(policy.transports, image.transport),
      scope,
      requirements,
      indices: [],
      lineOf: (steps) => lineInPolicy(policy, steps),
    },
    signatures: finding.find,
  };
  const judged: RequirementVerdict[] = [];
  let failure: PolicyError | undefined;
  for (const [index, requirement] of requirements.entries()) {
    try {
      judged.push(await judge(requirement, inside(context, index)));
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      failure ??= error;
      judged.push(undecided(requirement));
    }
  }
  const { spot } = context;
  const needed = requirements.length;
  const verdicts = explainSeveralSigners({ requirements, verdicts: judged, spot, needed });
  const passed = verdicts.length > 0 && verdicts.every(({ allowed }) => allowed);
  const unsigned = requireSigned && !verdicts.some(isVerified);
  const verdict: PolicyVerdict = {
    allowed: passed && !unsigned,
    transport: image.transport,
    image: image.identity,
    ...(subject.manifestDigest === undefined ? {} : { manifestDigest: subject.manifestDigest }),
    scope,
    considered,
    ...(similar.length === 0 ? {} : { similar }),
    ...(bypassed.length === 0 ? {} : { bypassed }),
    ...(file === undefined ? {} : { file }),
    ...(digest === undefined ? {} : { policyDigest: digest }),
    requirements: verdicts,
    places: finding.found()?.places ?? [],
    audit: verdicts.flatMap(auditOf),
    ...(passed && unsigned ? { unsigned: true } : {}),
    ...(failure === undefined ? {} : { undecided: true }),
  };
  if (failure === undefined) return verdict;
  const { code, message, cause, hint } = failure;
  throw new PolicyError(code, message, { cause, hint, verdict });
}

/** Of one whose signatures could not be read; the error says why. */
function undecided({ type }: PolicyRequirement): RequirementVerdict {
  return {
    type,
    allowed: false,
    reason: "nobody knows whether it is met, since signatures could not be read",
    remedy: "Mend what the error names, and ask again.",
  };
}

/** Asks one requirement; one that names what is no key denies, and the others are asked still. */
export async function judge(
  requirement: PolicyRequirement,
  context: JudgeContext,
): Promise<RequirementVerdict> {
  try {
    return await judgeByType(requirement, context);
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
    const field = fieldOfInvalidKey(requirement, error);
    const remedy = keyRemedy(
      error,
      `Put there what the policy says that is there, or correct the path or the data in ${showSpot(context.spot, field)}. ${wantedKey(requirement.type, field)}`,
    );
    return { type: requirement.type, allowed: false, reason: error.message, remedy, cause: error };
  }
}

async function judgeByType(
  requirement: PolicyRequirement,
  context: JudgeContext,
): Promise<RequirementVerdict> {
  const judgePart = async (part: PolicyRequirement, index: number): Promise<RequirementVerdict> =>
    await judge(part, inside(context, index));
  switch (requirement.type) {
    case "insecureAcceptAnything":
      return judgeInsecureAcceptAnything();
    case "reject":
      return judgeReject(context.spot);
    case "signedBy":
      return await judgeSignedBy(requirement, context);
    case "signedBaseLayer":
      return judgeSignedBaseLayer();
    case "sigstoreSigned":
      return await judgeSigstoreSigned(requirement, context);
    case "sigstoreBundle":
      return await judgeSigstoreBundle(requirement, context);
    case "anyOf":
      return await judgeAnyOf(requirement, judgePart, context.spot);
    case "audit":
      return await judgeAudit(requirement, judgePart);
  }
}

function inside(context: JudgeContext, index: number): JudgeContext {
  const { spot } = context;
  return { ...context, spot: { ...spot, indices: [...spot.indices, index] } };
}

function findOnce(
  source: SignatureSource | undefined,
  subject: PolicySubject,
  signal: AbortSignal | undefined,
): {
  readonly find: () => Promise<FoundSignatures>;
  readonly found: () => FoundSignatures | undefined;
} {
  let finding: Promise<FoundSignatures> | undefined;
  let found: FoundSignatures | undefined;
  return {
    async find() {
      finding ??= source?.findSignatures(subject, { signal }) ?? Promise.resolve(NONE);
      found = await finding;
      return found;
    },
    found: () => found,
  };
}

const NONE: FoundSignatures = { signatures: [], places: [] };

function referenceOf(subject: PolicySubject): Reference | undefined {
  if (!("reference" in subject) || subject.reference === undefined) return undefined;
  return withoutTagIfDigested(withDefaultTag(subject.reference));
}

function isVerified(verdict: RequirementVerdict): boolean {
  if (!verdict.allowed || verdict.type === "audit") return false;
  if (verdict.signatures?.some(({ accepted }) => accepted)) return true;
  return verdict.requirements?.some(isVerified) ?? false;
}

function auditOf(verdict: RequirementVerdict): readonly string[] {
  const inner = verdict.requirements ?? [];
  const own =
    verdict.type === "audit"
      ? inner.filter(({ allowed }) => !allowed).map(({ type, reason }) => `${type}: ${reason}`)
      : [];
  return [...own, ...inner.flatMap(auditOf)].map((text) => escapeText(text, 2000));
}
