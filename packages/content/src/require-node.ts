/**
 * Refuses a Node that is too old, before anything of it is missed: what imports this package fails by
 * name, and not in the middle of its work. Browsers and others pass.
 *
 * @module
 */
import { ContentError } from "./content-error.ts";

const OLDEST = "22.22.2";

/** @throws {@link ContentError} `ERR_CONTENT_UNSUPPORTED_NODE` */
export function requireNode(version: string | undefined): void {
  if (version === undefined || !isOlder(version, OLDEST)) return;
  throw new ContentError(
    "ERR_CONTENT_UNSUPPORTED_NODE",
    `Stowage takes Node ${OLDEST} or later, and this is Node ${version}`,
    { hint: "Run it with a newer Node." },
  );
}

function isOlder(version: string, than: string): boolean {
  const [parts, others] = [version, than].map((text) => text.split(".").map(Number));
  for (const [index, other] of (others ?? []).entries()) {
    const part = parts?.[index] ?? 0;
    if (part !== other) return part < other;
  }
  return false;
}

interface MaybeNode {
  readonly process?: { readonly versions?: { readonly node?: string } };
}

requireNode((globalThis as MaybeNode).process?.versions?.node);
