import { howToGive } from "../internal/policy-example.ts";
import type { PolicyShape } from "../internal/policy-shape.ts";
import { parseSignerKeys, SIGNER_KEYS, type SignerKeys } from "../key/signer-keys.ts";
import { compilePattern } from "../sigstore/subject-pattern.ts";

/** Whom a certificate must be for: a person, a workflow or a service, as an issuer says. */
export type BundleIdentity = { readonly issuer: string } & (
  | { readonly subject: string }
  /** `*` stands for anything but a slash, `**` for anything. */
  | { readonly subjectPattern: string }
);

/** Whose bundles count. */
export type BundleTrust = { readonly identity: BundleIdentity } | SignerKeys;

/** The logs, clocks and authorities to believe; with keys, a log is then asked for, too. */
export interface BundleRoot {
  readonly trustedRootPath?: string;
  readonly trustedRootData?: string;
}

/**
 * Allows what has a sigstore bundle, as cosign 3 attaches them, that says what is wanted about this
 * very manifest. It is no part of the original grammar, so that its readers refuse a policy that has
 * it.
 */
export type SigstoreBundleRequirement = BundleTrust &
  BundleRoot & {
    readonly type: "sigstoreBundle";
    /** What the statement must be. @defaultValue that of `cosign sign` */
    readonly predicateType?: string;
    /** Who must have built the image, of a provenance. */
    readonly builderId?: string;
    /** How many different signers are needed. @defaultValue 1 */
    readonly threshold?: number;
  };

const TRUST_KEYS = ["identity", ...SIGNER_KEYS] as const;
const ROOT_KEYS = ["trustedRootPath", "trustedRootData"] as const;

export function parseSigstoreBundle(shape: PolicyShape): SigstoreBundleRequirement {
  shape.allow("type", "predicateType", "builderId", "threshold", ...TRUST_KEYS, ...ROOT_KEYS);
  const trust = parseTrust(shape);
  const root = parseRoot(shape);
  if ("identity" in trust && Object.keys(root).length === 0) {
    shape.fail(
      `needs trustedRootPath or trustedRootData: nobody else knows the authorities${howToGive("trustedRootPath")}`,
    );
  }
  if (shape.has("builderId") && !shape.has("predicateType")) {
    shape.fail(
      `needs the predicateType of a provenance: a signature names no builder${howToGive("predicateType")}`,
      "builderId",
    );
  }
  return {
    type: "sigstoreBundle",
    ...trust,
    ...root,
    ...(shape.has("predicateType") && { predicateType: shape.filledString("predicateType") }),
    ...(shape.has("builderId") && { builderId: shape.filledString("builderId") }),
    ...(shape.has("threshold") && { threshold: parseThreshold(shape) }),
  };
}

function parseTrust(shape: PolicyShape): BundleTrust {
  const source = shape.exactlyOne(...TRUST_KEYS);
  if (source !== "identity") return parseSignerKeys(shape, source);
  return { identity: parseIdentity(shape.inner(source)) };
}

function parseIdentity(shape: PolicyShape): BundleIdentity {
  shape.allow("issuer", "subject", "subjectPattern");
  const issuer = shape.filledString("issuer");
  const source = shape.exactlyOne("subject", "subjectPattern");
  const text = shape.filledString(source);
  if (source === "subject") return { issuer, subject: text };
  if (compilePattern(text) === undefined) {
    shape.fail("lets anybody in: it must begin with a host, or end with one after @", source);
  }
  return { issuer, subjectPattern: text };
}

function parseRoot(shape: PolicyShape): BundleRoot {
  const source = shape.atMostOne(...ROOT_KEYS);
  switch (source) {
    case undefined:
      return {};
    case "trustedRootPath":
      return { trustedRootPath: shape.filledString(source) };
    case "trustedRootData":
      return { trustedRootData: shape.base64(source) };
  }
}

function parseThreshold(shape: PolicyShape): number {
  const threshold = shape.value("threshold");
  if (typeof threshold === "number" && Number.isInteger(threshold) && threshold >= 1) {
    return threshold;
  }
  return shape.fail("is no positive integer: write 1 or more, without quotes", "threshold");
}
