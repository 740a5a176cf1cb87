import { linesOfScopes, type ScopeLines } from "./internal/json-lines.ts";
import type { Policy } from "./policy.ts";

const LINES = new WeakMap<Policy, () => ScopeLines>();

/** Keeps the document of a policy as long as the policy, for whoever asks where things stand in it. */
export function keepDocument(policy: Policy, document: Uint8Array): void {
  let lines: ScopeLines | undefined;
  LINES.set(policy, () => (lines ??= linesOfScopes(new TextDecoder().decode(document))));
}

/**
 * The line that a scope of a policy stands in, counted from 1; `undefined` for a policy that was made
 * otherwise than by reading it.
 */
export function lineOfScope(policy: Policy, transport: string, scope: string): number | undefined {
  return LINES.get(policy)?.().get(transport)?.get(scope);
}
