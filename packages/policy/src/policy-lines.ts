import { lineOfKey } from "./internal/json-lines.ts";
import type { Policy } from "./policy.ts";

const DOCUMENTS = new WeakMap<Policy, Uint8Array>();

/** Keeps the document of a policy as long as the policy, for whoever asks where things stand in it. */
export function keepDocument(policy: Policy, document: Uint8Array): void {
  DOCUMENTS.set(policy, document);
}

/**
 * The line that a scope of a policy stands in, counted from 1; `undefined` for a policy that was made
 * otherwise than by reading it.
 */
export function lineOfScope(policy: Policy, transport: string, scope: string): number | undefined {
  const document = DOCUMENTS.get(policy);
  if (document === undefined) return undefined;
  return lineOfKey(new TextDecoder().decode(document), ["transports", transport, scope]);
}
