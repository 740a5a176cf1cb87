import type { PolicyGate, PolicySubject } from "@stowage/image-service";
import type {
  FoundSignatures,
  LoadedPolicy,
  PolicyEvaluator,
  SignatureSource,
} from "@stowage/policy";

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

/** Asks the policy as it is on disk when it is asked. Without any, nothing is allowed. */
export function wirePolicyGate(
  options: RuntimeOptions,
  registries: SignatureRegistries,
): PolicyGate {
  return {
    async requireAllowed(asked, { signal, source } = {}) {
      const { evaluator, subject, finder } = await askPolicy(asked, options, registries, signal);
      const verdict = await evaluator.requireAllowed(subject, { signal });
      for (const remark of verdict.audit) options.onWarning?.(`${verdict.image}: ${remark}`);
      if (asked.stored || !keepsSignatures(options, source)) return {};
      // Also where nobody asked for any: a stricter policy may, when a container is made of it.
      const { signatures } = await finder.find(signal);
      if (signatures.length === 0) return {};
      const { packSignatures } = await import("@stowage/policy");
      return { signatures: packSignatures(signatures) };
    },
  } satisfies PolicyGate;
}

/** Loads the policy, and what it may want to know about the image. */
export async function askPolicy(
  { reference, manifest, stored, opened, signatures }: PolicySubject,
  options: RuntimeOptions,
  registries: SignatureRegistries,
  signal: AbortSignal | undefined,
): Promise<PolicyQuestion> {
  const { unpackSignatures } = await import("@stowage/policy");
  const registry = opened && registries.get(opened);
  const finder =
    stored || registry === undefined
      ? { find: async () => (signatures === undefined ? NONE : unpackSignatures(signatures)) }
      : wireSignatureFinder(reference, manifest.digest, registry, options);
  return {
    evaluator: await openEvaluator(finder, options, signal),
    subject: { transport: "docker", reference, manifestDigest: manifest.digest },
    finder,
  };
}

/** The policy as it is on disk now, for an image whose signatures `finder` finds. */
export async function openEvaluator(
  finder: SignatureFinder,
  options: RuntimeOptions,
  signal: AbortSignal | undefined,
): Promise<PolicyEvaluator> {
  const { createPolicyEvaluator, loadPolicy } = await import("@stowage/policy");
  const { policyPath, env, onWarning } = options;
  const loaded = await loadPolicy({ path: policyPath, env, signal });
  const { policy, file, digest, warnings } = loaded;
  for (const warning of [...warnings, ...rollback(loaded, options)]) onWarning?.(warning);
  const signatures: SignatureSource = { findSignatures: (_, wait) => finder.find(wait.signal) };
  return createPolicyEvaluator({ policy, file, digest, signatures });
}

const NEWEST = new WeakMap<RuntimeOptions, LoadedPolicy>();

/** Who puts an older policy back may want what a newer one forbids; it is in force all the same. */
function rollback(loaded: LoadedPolicy, options: RuntimeOptions): readonly string[] {
  const newest = NEWEST.get(options);
  const isOlder = newest?.file === loaded.file && loaded.modified < newest.modified;
  if (!isOlder) NEWEST.set(options, loaded);
  if (!isOlder || newest === undefined) return [];
  const [then, last] = [loaded.modified, newest.modified].map((time) => time.toISOString());
  return [`${loaded.file}: was written at ${then}, before the policy of ${last} that was in force`];
}

const NONE: FoundSignatures = {
  signatures: [],
  places: [{ kind: "store", location: "the signatures kept with the image", found: 0 }],
};

function keepsSignatures(options: RuntimeOptions, source: unknown): boolean {
  const given: RegistryAccess = typeof source === "object" && source !== null ? source : {};
  return given.keepSignatures ?? options.keepSignatures ?? true;
}
