import { type JsonLines, type JsonSteps, lineOf, readLines } from "./internal/json-lines.ts";
import type { Policy } from "./policy.ts";

const LINES = new WeakMap<Policy, () => JsonLines>();

/** Keeps the document of a policy as long as the policy, for whoever asks where things stand in it. */
export function keepDocument(policy: Policy, document: Uint8Array): void {
  let lines: JsonLines | undefined;
  LINES.set(policy, () => (lines ??= readLines(new TextDecoder().decode(document))));
}

/**
 * The line that something of a policy stands in, counted from 1, or that of what it would be in;
 * `undefined` for a policy that was made otherwise than by reading it.
 */
export function lineInPolicy(policy: Policy, steps: JsonSteps): number | undefined {
  const lines = LINES.get(policy)?.();
  return lines && lineOf(lines, steps);
}

/** As {@link lineInPolicy}, of a scope. */
export function lineOfScope(policy: Policy, transport: string, scope: string): number | undefined {
  return lineInPolicy(policy, ["transports", transport, scope]);
}

/** As {@link lineInPolicy}, as a problem has it. */
export function lineOfProblem(policy: Policy, steps: JsonSteps): { readonly line?: number } {
  const line = lineInPolicy(policy, steps);
  return line === undefined ? {} : { line };
}
