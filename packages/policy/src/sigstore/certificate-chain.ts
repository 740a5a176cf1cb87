import type { Certificate } from "./certificate.ts";
import { forbidsCodeSigning } from "./certificate.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** How {@link requireChain} goes about it. */
export interface ChainOptions {
  readonly roots: readonly Certificate[];
  /** Those that come with the signature are of strangers: they help, but nobody trusts them. */
  readonly intermediates: readonly Certificate[];
  /** When every certificate of the chain must be valid. */
  readonly at: Date;
  /**
   * Whether the leaf must say that it is for signing code. If not, one that says nothing of what it
   * is for will do.
   *
   * @defaultValue true
   */
  readonly needsPurpose?: boolean;
}

const MAX_INTERMEDIATES = 20;
const MAX_DEPTH = 6;
const MAX_CHECKS = 200;

/**
 * Resolves if `leaf` may sign code and some chain leads from it to a root.
 *
 * @throws SignatureRejection
 */
export function requireChain(leaf: Certificate, options: ChainOptions): void {
  const { roots, intermediates, at, needsPurpose = true } = options;
  if (intermediates.length > MAX_INTERMEDIATES) {
    throw new SignatureRejection("malformed", `it has over ${MAX_INTERMEDIATES} certificates`);
  }
  requireValid(leaf, at);
  if (leaf.isAuthority) refuse("its certificate is that of an authority");
  const isForCode = needsPurpose ? leaf.mayCodeSign : !forbidsCodeSigning(leaf);
  if (!leaf.maySign || !isForCode) refuse("its certificate is not for signing code");
  let checks = 0;
  let expired = false;
  const climb = (cert: Certificate, path: readonly Certificate[]): boolean => {
    for (const [issuer, isRoot] of [
      ...roots.map((root) => [root, true] as const),
      ...intermediates.map((other) => [other, false] as const),
    ]) {
      if (path.includes(issuer) || path.length > MAX_DEPTH) continue;
      checks += 1;
      if (checks > MAX_CHECKS) refuse("its chain of certificates does not end");
      if (!mayIssue(issuer, path.length - 1) || !isIssuedBy(cert, issuer)) continue;
      if (!isValid(issuer, at)) {
        expired = true;
        continue;
      }
      if (isRoot || climb(issuer, [...path, issuer])) return true;
    }
    return false;
  };
  if (climb(leaf, [leaf])) return;
  throw new SignatureRejection(
    "untrusted",
    expired
      ? "an authority of its certificate was not valid when it signed"
      : "its certificate leads to none of the policy's authorities",
    {
      remedy:
        "Check that the policy has the authority's root, and that the intermediate ones come with the signature or the policy.",
    },
  );
}

/** @param below - how many authorities stand between it and the leaf. */
function mayIssue(issuer: Certificate, below: number): boolean {
  const { isAuthority, mayCertify, pathLength } = issuer;
  return isAuthority && mayCertify && pathLength >= below && !forbidsCodeSigning(issuer);
}

function isIssuedBy({ x509 }: Certificate, issuer: Certificate): boolean {
  return x509.checkIssued(issuer.x509) && x509.verify(issuer.x509.publicKey);
}

function isValid({ notBefore, notAfter }: Certificate, at: Date): boolean {
  return notBefore <= at && at <= notAfter;
}

function requireValid(leaf: Certificate, at: Date): void {
  if (isValid(leaf, at)) return;
  const { notBefore, notAfter } = leaf;
  const range = `${notBefore.toISOString()} to ${notAfter.toISOString()}`;
  throw new SignatureRejection(
    "malformed",
    `its certificate was valid from ${range}, not at ${at.toISOString()}`,
  );
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
