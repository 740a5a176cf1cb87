import { resolve } from "node:path";

import { type Digest, escapeText } from "@stowage/content";
import type { LoadedPolicy, PolicyNamespace, PolicyProblem, PolicyVerdict } from "@stowage/policy";
import type { Store } from "@stowage/store";

import { RuntimeError } from "./runtime-error.ts";
import type { RuntimeOptions } from "./runtime-options.ts";

/** Whose policy is asked for. */
export interface PolicyOfNamespace {
  /** A namespace that may have a policy of its own. The runtime's, if it has one, unless told. */
  readonly namespace?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The policy as it is on disk, and what there is to tell about it. */
export interface PolicyInForce {
  /**
   * Reads the policy, and tells `onWarning` what is wrong with it, but for keys that are none and
   * scopes that match nothing: those are told when it is known what became of the image, since what is
   * said of that may say the same.
   *
   * @throws {@link PolicyError} as `loadPolicy` does; {@link RuntimeError}
   *   `ERR_RUNTIME_NO_POLICY_DIRECTORY` for a namespace where none can have a policy.
   */
  load(asked: PolicyOfNamespace): Promise<PolicyWithKeys>;
}

/** A policy, and what is wrong with its keys and scopes. */
export interface PolicyWithKeys extends LoadedPolicy {
  /**
   * Tells `onWarning` of scopes that match nothing, and of keys that are none.
   *
   * @param outcome - the refusal, or the words of a warning, that say so of some already.
   */
  readonly tellRest: (outcome?: unknown) => void;
}

/** How {@link watchPolicy} watches. */
export interface WatchPolicyOptions {
  /** Whether it is about to be acted upon, or only asked. @defaultValue true */
  readonly note?: boolean;
}

/** Makes what reads the policy each time that it is asked for. */
export function watchPolicy(
  { marks }: Pick<Store, "marks">,
  options: RuntimeOptions,
  { note = true }: WatchPolicyOptions = {},
): PolicyInForce {
  const { policyPath, env, onWarning } = options;
  const checked = new Map<string, Digest>();
  return {
    async load({ namespace = options.policyNamespace, signal }) {
      const { loadPolicy } = await import("@stowage/policy");
      const own = namespace === undefined ? undefined : namespaceOf(namespace, options);
      const loaded = await loadPolicy({ path: policyPath, env, namespace: own, signal });
      const warnings = [...loaded.warnings, ...(await rollback(loaded))];
      const ofScopes = warnings.filter(isOfScope);
      for (const warning of warnings) if (!isOfScope(warning)) onWarning?.(warning);
      const problems = note ? await badKeys(loaded, signal) : [];
      return {
        ...loaded,
        tellRest(outcome) {
          for (const warning of ofScopes) if (!isSaid(warning, outcome)) onWarning?.(warning);
          tellKeys(loaded.file, problems, outcome);
        },
      };
    },
  };

  function tellKeys(file: string, problems: readonly PolicyProblem[], refusal: unknown): void {
    for (const { path, line, problem } of problems) {
      if (isTold(refusal, path, problem)) continue;
      onWarning?.(
        `${file}${line === undefined ? "" : `, line ${line}`}: ${path}: ${problem}. Until that is mended, this requirement accepts no image.`,
      );
    }
  }

  /** Those that judge other images than this one would else be found when one of these is wanted. */
  async function badKeys(
    { file, digest, policy }: LoadedPolicy,
    signal: AbortSignal | undefined,
  ): Promise<readonly PolicyProblem[]> {
    if (checked.get(file) === digest) return [];
    const { checkPolicyKeys } = await import("@stowage/policy");
    const problems = await checkPolicyKeys(policy, { signal });
    checked.set(file, digest);
    return problems;
  }

  /**
   * Who puts an older policy back may want what a newer one forbids; it is in force all the same.
   * The store remembers for all processes how new the newest was.
   */
  async function rollback({ file, modified }: LoadedPolicy): Promise<readonly string[]> {
    const name = `policy ${resolve(file)}`;
    // A file from the future would make all later ones look older, for ever.
    const time = Math.min(modified.getTime(), Date.now());
    let newest: number;
    try {
      newest = note ? await marks.raise(name, time) : ((await marks.highest(name)) ?? time);
    } catch (cause) {
      onWarning?.(`${file}: the store cannot tell whether a newer policy was in force`, cause);
      return [];
    }
    if (time >= newest) return [];
    const [then, last] = [time, newest].map((moment) => new Date(moment).toISOString());
    return [
      `${file}: was written at ${then}, before the policy of ${last} that was in force; touch it if that is meant`,
    ];
  }
}

function isOfScope(warning: string): boolean {
  return SCOPE.test(warning);
}

/** Whether a refusal, or a warning of an image that came in, names the scope and what to write. */
function isSaid(warning: string, outcome: unknown): boolean {
  const scope = SCOPE.exec(warning)?.[1];
  const { hint = outcome } = (outcome ?? {}) as { readonly hint?: unknown };
  return scope !== undefined && typeof hint === "string" && hint.includes(`scope "${scope}"`);
}

const SCOPE = /\["(.*)"\] in line \d+ can match no image$/;

/** Whether a refusal says of a key of its own scope what is wrong with it. */
function isTold(refusal: unknown, path: string, problem: string): boolean {
  const { verdict, message = "" } = (refusal ?? {}) as {
    readonly verdict?: PolicyVerdict;
    readonly message?: string;
  };
  if (verdict === undefined || !message.includes(problem)) return false;
  const { kind, text } = verdict.scope;
  const own =
    kind === "default"
      ? "default["
      : `transports.${verdict.transport}["${escapeText(text, 160)}"][`;
  return path.startsWith(own);
}

function namespaceOf(name: string, { policyDirectory }: RuntimeOptions): PolicyNamespace {
  if (policyDirectory !== undefined) return { directory: policyDirectory, name };
  throw new RuntimeError(
    "ERR_RUNTIME_NO_POLICY_DIRECTORY",
    `nobody said where the policy of namespace ${escapeText(name, 80)} would be`,
    { hint: "Give the directory (--policy-dir), or ask for no namespace." },
  );
}
