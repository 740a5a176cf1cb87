import { escapeText } from "@stowage/content";
import { formatRepository } from "@stowage/reference";

import type { Policy, PolicyRequirement } from "./policy.ts";
import { PolicyError } from "./policy-error.ts";
import { chooseRequirements, type PolicyScope, scopesOf } from "./policy-scope.ts";
import type { PolicySubject } from "./policy-subject.ts";
import { judgeInsecureAcceptAnything } from "./requirement-insecure-accept-anything.ts";
import { judgeReject } from "./requirement-reject.ts";
import { judgeSignedBaseLayer } from "./requirement-signed-base-layer.ts";
import { judgeSignedBy } from "./requirement-signed-by.ts";
import { judgeSigstoreSigned } from "./requirement-sigstore-signed.ts";
import type { PolicyVerdict, RequirementVerdict } from "./verdict.ts";

/** What an evaluator is made of. */
export interface PolicyEvaluatorOptions {
  readonly policy: Policy;
  /** Where `policy` was read from, for verdicts and messages. */
  readonly file?: string | undefined;
}

/** How one question is asked. */
export interface EvaluatePolicyOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Asks one policy. It is read once, so every answer is of the same snapshot. */
export interface PolicyEvaluator {
  /**
   * Says what the policy says, for people and tools. Use {@link PolicyEvaluator.requireAllowed}
   * where an image is about to be used: a verdict that nobody looks at keeps nothing out.
   *
   * @throws {@link PolicyError} `ERR_POLICY_INVALID_ARGUMENT` if the subject's path is not clean.
   */
  evaluate(subject: PolicySubject, options?: EvaluatePolicyOptions): Promise<PolicyVerdict>;
  /**
   * Resolves only if the image may be used.
   *
   * @throws {@link PolicyError} `ERR_POLICY_REJECTED` with the verdict, or as `evaluate` does.
   */
  requireAllowed(subject: PolicySubject, options?: EvaluatePolicyOptions): Promise<void>;
}

export function createPolicyEvaluator(options: PolicyEvaluatorOptions): PolicyEvaluator {
  const { policy, file } = options;
  const evaluator: PolicyEvaluator = {
    async evaluate(subject, { signal } = {}) {
      signal?.throwIfAborted();
      const image = scopesOf(subject);
      const { scope, requirements } = chooseRequirements(policy, image);
      const verdicts = requirements.map(judge);
      return {
        allowed: verdicts.length > 0 && verdicts.every(({ allowed }) => allowed),
        transport: image.transport,
        image: image.identity,
        scope,
        ...(file === undefined ? {} : { file }),
        requirements: verdicts,
      };
    },
    async requireAllowed(subject, options) {
      const verdict = await evaluator.evaluate(subject, options);
      if (!verdict.allowed) throw rejection(subject, verdict);
    },
  };
  return evaluator;
}

function judge(requirement: PolicyRequirement): RequirementVerdict {
  switch (requirement.type) {
    case "insecureAcceptAnything":
      return judgeInsecureAcceptAnything();
    case "reject":
      return judgeReject();
    case "signedBy":
      return judgeSignedBy();
    case "signedBaseLayer":
      return judgeSignedBaseLayer();
    case "sigstoreSigned":
      return judgeSigstoreSigned();
  }
}

function rejection(subject: PolicySubject, verdict: PolicyVerdict): PolicyError {
  const { transport, image, file, scope, requirements } = verdict;
  const index = requirements.findIndex(({ allowed }) => !allowed);
  const name = image === "" ? transport : escapeText(image);
  const where = `${file === undefined ? "the policy" : escapeText(file)}, ${describe(transport, scope)}`;
  const denied = requirements[index];
  const why =
    denied === undefined
      ? "there is no requirement that could allow"
      : `requirement ${index + 1} of ${requirements.length}, ${denied.type}: ${denied.reason}`;
  return new PolicyError(
    "ERR_POLICY_REJECTED",
    `${name} is rejected by policy (${where}, ${why})`,
    { verdict, hint: remedy(subject, file) },
  );
}

function describe(transport: string, scope: PolicyScope): string {
  switch (scope.kind) {
    case "identity":
    case "namespace":
      return `scope "${escapeText(scope.text)}" of ${transport}`;
    case "transport":
      return `scope "" of ${transport}, which is for all of it`;
    case "default":
      return `the default, because no scope of ${transport} covers it`;
  }
}

function remedy(subject: PolicySubject, file: string | undefined): string | undefined {
  if (subject.transport !== "docker") return undefined;
  const scope = formatRepository(subject.reference.repository);
  const where = file === undefined ? "the policy" : escapeText(file);
  return `To trust it unsigned, give ${where} a scope transports.docker["${scope}"] of [{"type":"insecureAcceptAnything"}].`;
}
