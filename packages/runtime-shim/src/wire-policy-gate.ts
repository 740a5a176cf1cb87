import type { PolicyGate, PolicySubject } from "@stowage/image-service";
import type {
  FoundSignatures,
  PolicyEvaluator,
  PolicyVerdict,
  SignatureSource,
} from "@stowage/policy";

import type { PolicyInForce, PolicyOfNamespace } from "./policy-in-force.ts";
import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";
import {
  type SignatureFinder,
  type SignatureRegistries,
  wireSignatureFinder,
} from "./wire-signature-source.ts";

/** A policy that is about to be asked about one image. */
export interface PolicyQuestion {
  readonly evaluator: PolicyEvaluator;
  readonly subject: Parameters<PolicyEvaluator["evaluate"]>[0];
  readonly finder: SignatureFinder;
}

/** Which policy is asked. */
export interface AskPolicyOptions extends PolicyOfNamespace {
  readonly inForce: PolicyInForce;
  /** Whether who asks tells of a scope that an image missed, which is said once then. */
  readonly tellsBypass?: boolean;
}

/** Asks the policy as it is on disk when it is asked. Without any, nothing is allowed. */
export function wirePolicyGate(
  options: RuntimeOptions,
  registries: SignatureRegistries,
  inForce: PolicyInForce,
): PolicyGate {
  return {
    async requireAllowed(asked, { signal, source } = {}) {
      const given = accessOf(source);
      const tellsBypass = !asked.stored;
      const how = { inForce, namespace: given.policyNamespace, signal, tellsBypass };
      const { evaluator, subject, finder } = await askPolicy(asked, options, registries, how);
      const verdict = await evaluator.requireAllowed(subject, { signal });
      for (const audit of verdict.audit) {
        const only = "The policy only reports that (audit): else it would refuse the image.";
        options.onWarning?.(`${verdict.image}: ${audit}. ${only}`, { audit });
      }
      if (!asked.stored) await warnOfBypass(verdict, options);
      if (asked.stored || !(given.keepSignatures ?? options.keepSignatures ?? true)) return {};
      // Also where nobody asked for any: a stricter policy may, when a container is made of it.
      const { signatures } = await finder.find(signal);
      if (signatures.length === 0) return {};
      const { packSignatures } = await import("@stowage/policy");
      return { signatures: packSignatures(signatures) };
    },
  } satisfies PolicyGate;
}

async function warnOfBypass(verdict: PolicyVerdict, { onWarning }: RuntimeOptions): Promise<void> {
  if (verdict.bypassed === undefined || onWarning === undefined) return;
  const { bypassWarning } = await import("@stowage/policy");
  const warning = bypassWarning(verdict);
  if (warning !== undefined) onWarning(warning);
}

/** Loads the policy, and what it may want to know about the image. */
export async function askPolicy(
  { reference, manifest, stored, opened, signatures }: PolicySubject,
  options: RuntimeOptions,
  registries: SignatureRegistries,
  how: AskPolicyOptions,
): Promise<PolicyQuestion> {
  const { unpackSignatures } = await import("@stowage/policy");
  const registry = opened && registries.get(opened);
  const finder =
    stored || registry === undefined
      ? { find: async () => (signatures === undefined ? NONE : unpackSignatures(signatures)) }
      : wireSignatureFinder(reference, manifest.digest, registry, options);
  return {
    evaluator: await openEvaluator(finder, how),
    subject: { transport: "docker", reference, manifestDigest: manifest.digest },
    finder,
  };
}

/** The policy as it is on disk now, for an image whose signatures `finder` finds. */
export async function openEvaluator(
  finder: SignatureFinder,
  { inForce, tellsBypass = false, ...asked }: AskPolicyOptions,
): Promise<PolicyEvaluator> {
  const { bypassWarning, createPolicyEvaluator, formatVerdict } = await import("@stowage/policy");
  const { policy, file, digest, tellRest } = await inForce.load(asked);
  const signatures: SignatureSource = { findSignatures: (_, wait) => finder.find(wait.signal) };
  const evaluator = createPolicyEvaluator({ policy, file, digest, signatures });
  const telling = async (
    asking: Promise<PolicyVerdict>,
    wordsOf: typeof bypassWarning,
  ): Promise<PolicyVerdict> => {
    try {
      const verdict = await asking;
      tellRest(tellsBypass ? wordsOf(verdict) : undefined);
      return verdict;
    } catch (error) {
      tellRest(error);
      throw error;
    }
  };
  return {
    evaluate: (subject, wait) => telling(evaluator.evaluate(subject, wait), formatVerdict),
    requireAllowed: (subject, wait) =>
      telling(evaluator.requireAllowed(subject, wait), bypassWarning),
  };
}

/** The caller's settings, as an image service hands them on. */
export function accessOf(source: unknown): RegistryAccess {
  return typeof source === "object" && source !== null ? source : {};
}

const NONE: FoundSignatures = {
  signatures: [],
  places: [{ kind: "store", location: "the signatures kept with the image", found: 0 }],
};
