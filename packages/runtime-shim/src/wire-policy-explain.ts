import { dirname } from "node:path";

import type { ImageSource, PolicyGate, PolicySubject } from "@stowage/image-service";
import { errorKind, escapeText, type Platform } from "@stowage/content";
import type { PolicyError, PolicyProblem, PolicyVerdict } from "@stowage/policy";
import { formatReference } from "@stowage/reference";
import type { Store } from "@stowage/store";

import { isCopyLocation, parseCopyLocation } from "./copy/copy-location.ts";
import { type LocalLocation, openLocalSource } from "./copy/local-source.ts";
import { lend } from "./copy/store-destination.ts";
import { registriesSource } from "./open-registry-client.ts";
import { watchPolicy } from "./policy-in-force.ts";
import type { RegistryAccess, RuntimeOptions } from "./runtime-options.ts";
import { askPolicyOfPlace } from "./policy-of-places.ts";
import { withShortNames } from "./short-names.ts";
import { imageSource } from "./wire-image-service.ts";
import { askPolicy, type PolicyQuestion } from "./wire-policy-gate.ts";
import { type SignatureRegistries, withRegistriesD } from "./wire-signature-source.ts";

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
 *
 * @param image - a name or ID, or a location as {@link parseCopyLocation} reads it. An image in
 *   files or in a daemon is judged by the scopes of its own transport.
 */
export async function explainPolicy(
  store: Store,
  options: RuntimeOptions,
  image: string,
  how: ExplainPolicyOptions,
): Promise<PolicyVerdict> {
  if (!isCopyLocation(image)) return await explainName(store, options, image, how);
  const location = parseCopyLocation(image);
  switch (location.transport) {
    case "docker":
      return await explainName(store, options, formatReference(location.reference), how);
    case "store":
      return await explainName(store, options, location.image, { ...how, local: true });
    default:
      return await explainLocal(store, options, location, how);
  }
}

async function explainName(
  store: Store,
  options: RuntimeOptions,
  nameOrId: string,
  { local = false, platform, source, signal }: ExplainPolicyOptions,
): Promise<PolicyVerdict> {
  const { createImageService } = await import("@stowage/image-service");
  const registries = registriesSource(options);
  const signatures: SignatureRegistries = new WeakMap();
  const opener = withRegistriesD(imageSource(options, registries, signatures), options);
  const inForce = watchPolicy(store, options, { note: false });
  const how = { inForce, namespace: source?.policyNamespace, signal, tellsBypass: true };
  return await askOnTheWay(
    (asked) => askPolicy(asked, options, signatures, how),
    async (policy) => {
      const service = createImageService({ store, source: opener, policy });
      const images = withShortNames(service, registries, options);
      if (local) await images.requireAllowed(nameOrId, { signal });
      else await images.pull(nameOrId, { platform, source, signal });
    },
  );
}

/** No pull of it gets as far as to need a name. */
const NAMELESS = "localhost/local:latest";

async function explainLocal(
  store: Store,
  options: RuntimeOptions,
  location: LocalLocation,
  { platform, source: access, signal }: ExplainPolicyOptions,
): Promise<PolicyVerdict> {
  const { createImageService } = await import("@stowage/image-service");
  await using place = await openLocalSource(location, { env: options.env, signal, asStored: true });
  const source: ImageSource = { open: async () => lend(place) };
  const inForce = watchPolicy(store, options, { note: false });
  const how = { inForce, namespace: access?.policyNamespace, signal, tellsBypass: true };
  return await askOnTheWay(
    (asked) => askPolicyOfPlace(location, place, asked, how),
    async (policy) => {
      await createImageService({ store, source, policy }).pull(NAMELESS, { platform, signal });
    },
  );
}

/** Goes as far as to the policy, and no further. */
async function askOnTheWay(
  ask: (asked: PolicySubject) => Promise<PolicyQuestion>,
  go: (policy: PolicyGate) => Promise<void>,
): Promise<PolicyVerdict> {
  let verdict: PolicyVerdict | undefined;
  const policy: PolicyGate = {
    async requireAllowed(asked, wait) {
      const question = await ask(asked);
      verdict = await question.evaluator.evaluate(question.subject, { signal: wait?.signal });
      throw new Explained("the policy was asked");
    },
  };
  try {
    await go(policy);
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
  /** What every pull fails with, whatever the policy says: a file of `registries.d` that is none. */
  readonly failure?: Error;
}

/**
 * Reads a policy with what it needs, and finds mistakes.
 *
 * @throws {@link PolicyError} as `loadPolicy` does; as `loadRegistriesD` does of the directory.
 */
export async function checkPolicyFile(
  options: CheckPolicyFileOptions = {},
): Promise<CheckedPolicy> {
  const { checkPolicy, loadPolicy, loadRegistriesD } = await import("@stowage/policy");
  const { path, registriesDPath, env, signal } = options;
  const invalid: PolicyError[] = [];
  const registriesD = await loadRegistriesD({
    directory: registriesDPath,
    env,
    signal,
    onInvalid: (error) => invalid.push(error),
  });
  const [failure] = invalid;
  const { file, policy, warnings } = await loadPolicy({ path, env, signal }).catch(
    (error: unknown) => {
      // A pull comes to `registries.d` first, and fails with that of two files that are none.
      throw errorKind(error) === "PolicyConfigInvalid" ? (failure ?? error) : error;
    },
  );
  const writable = warnings.filter((warning) => warning.includes("anybody may"));
  const problems: PolicyProblem[] = writable.map((problem) => ({
    severity: "warning",
    path: file,
    problem: problem.replace(`${file}: `, ""),
    remedy: `Let only root write it: chmod go-w ${escapeText(problem.includes("may replace") ? dirname(file) : file)}.`,
  }));
  problems.push(...invalid.map(asProblem));
  problems.push(...(await checkPolicy(policy, { registriesD, signal })));
  return { file, problems, ...(failure !== undefined && { failure }) };
}

function asProblem({ message, hint = "" }: PolicyError): PolicyProblem {
  const [path = "", ...rest] = message.split(": ");
  return { severity: "error", path, problem: rest.join(": "), remedy: hint };
}
