import type { PolicyGate } from "@stowage/image-service";
import type { Platform } from "@stowage/content";
import type { PolicyProblem, PolicyVerdict } from "@stowage/policy";
import type { Store } from "@stowage/store";

import { registriesSource } from "./open-registry-client.ts";
import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";
import { withShortNames } from "./short-names.ts";
import { imageSource } from "./wire-image-service.ts";
import { askPolicy } from "./wire-policy-gate.ts";
import type { SignatureRegistries } from "./wire-signature-source.ts";

/** What the policy is asked about an image that nobody is about to use. */
export interface ExplainPolicyOptions {
  /** Ask about the image in the store, by name or ID, and no registry. @defaultValue false */
  readonly local?: boolean | undefined;
  /** Which image of an index. */
  readonly platform?: Platform | undefined;
  /** Instead of the runtime's, as for a pull. */
  readonly source?: RegistryAccess | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Ends a pull once the policy was asked. */
class Explained extends Error {
  override readonly name = "Explained";
}

/**
 * What the policy says about an image, on the very way that a pull or a container goes; writes
 * nothing.
 */
export async function explainPolicy(
  store: Store,
  options: RuntimeOptions,
  nameOrId: string,
  how: ExplainPolicyOptions,
): Promise<PolicyVerdict> {
  const { createImageService } = await import("@stowage/image-service");
  const { local = false, platform, source, signal } = how;
  const registries = registriesSource(options);
  const signatures: SignatureRegistries = new WeakMap();
  let verdict: PolicyVerdict | undefined;
  const policy: PolicyGate = {
    async requireAllowed(asked, wait) {
      const question = await askPolicy(asked, options, signatures, wait?.signal);
      verdict = await question.evaluator.evaluate(question.subject, { signal: wait?.signal });
      throw new Explained("the policy was asked");
    },
  };
  const opener = imageSource(options, registries, signatures);
  const images = withShortNames(
    createImageService({ store, source: opener, policy }),
    registries,
    options,
  );
  try {
    if (local) await images.requireAllowed(nameOrId, { signal });
    else await images.pull(nameOrId, { platform, source, signal });
  } catch (error) {
    if (verdict !== undefined && error instanceof Explained) return verdict;
    throw error;
  }
  throw new Error("a pull ended without asking the policy");
}

/** How {@link checkPolicyFile} is called. */
export interface CheckPolicyFileOptions {
  /** The policy that is in force unless told. */
  readonly path?: string | undefined;
  readonly registriesDPath?: string | undefined;
  readonly env?: RuntimeOptions["env"];
  readonly signal?: AbortSignal | undefined;
}

/** A policy file, and what is wrong with it. */
export interface CheckedPolicy {
  readonly file: string;
  readonly problems: readonly PolicyProblem[];
}

/**
 * Reads a policy with what it needs, and finds mistakes.
 *
 * @throws {@link PolicyError} as `loadPolicy` and `loadRegistriesD` do.
 */
export async function checkPolicyFile(
  options: CheckPolicyFileOptions = {},
): Promise<CheckedPolicy> {
  const { checkPolicy, loadPolicy, loadRegistriesD } = await import("@stowage/policy");
  const { path, registriesDPath, env, signal } = options;
  const { file, policy, warnings } = await loadPolicy({ path, env, signal });
  const registriesD = await loadRegistriesD({ directory: registriesDPath, env, signal });
  const writable = warnings.filter((warning) => warning.includes("anybody may"));
  const problems: PolicyProblem[] = writable.map((problem) => ({
    severity: "warning",
    path: file,
    problem: problem.replace(`${file}: `, ""),
    remedy: "Let only root write it: chmod go-w.",
  }));
  problems.push(...(await checkPolicy(policy, { registriesD, signal })));
  return { file, problems };
}
