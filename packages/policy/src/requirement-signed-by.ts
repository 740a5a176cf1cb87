import type { PolicyShape } from "./internal/policy-shape.ts";
import { parseSignedIdentityOrDefault, type SignedIdentity } from "./signed-identity.ts";
import type { RequirementVerdict } from "./verdict.ts";

/** What sort of keys a {@link SignedByRequirement} has; only those of GnuPG can ever sign. */
export type SignedByKeyType =
  | "GPGKeys"
  | "signedByGPGKeys"
  | "X509Certificates"
  | "signedByX509CAs";

/** One of several ways to give the keys: file, files, or base64 data. */
export type SignedByKeys =
  | { readonly keyPath: string }
  | { readonly keyPaths: readonly string[] }
  | { readonly keyData: string };

/** Allows what has an atomic container signature by one of the keys, for the right identity. */
export type SignedByRequirement = SignedByKeys & {
  readonly type: "signedBy";
  readonly keyType: SignedByKeyType;
  readonly signedIdentity: SignedIdentity;
};

const KEY_TYPES: readonly string[] = [
  "GPGKeys",
  "signedByGPGKeys",
  "X509Certificates",
  "signedByX509CAs",
] satisfies readonly SignedByKeyType[];

export function parseSignedBy(shape: PolicyShape): SignedByRequirement {
  shape.allow("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity");
  const keyType = shape.string("keyType");
  if (!KEY_TYPES.includes(keyType)) {
    shape.fail(`is none of ${KEY_TYPES.join(", ")}`, "keyType");
  }
  return {
    type: "signedBy",
    keyType: keyType as SignedByKeyType,
    ...parseKeys(shape),
    signedIdentity: parseSignedIdentityOrDefault(shape),
  };
}

export function judgeSignedBy(): RequirementVerdict {
  return {
    type: "signedBy",
    allowed: false,
    reason: "it cannot be checked yet: this version verifies no simple signatures",
  };
}

// Empty keyPaths and keyData load, as in containers tools; nothing can ever be signed by them.
function parseKeys(shape: PolicyShape): SignedByKeys {
  const source = shape.exactlyOne("keyPath", "keyPaths", "keyData");
  switch (source) {
    case "keyPath":
      return { keyPath: shape.filledString(source) };
    case "keyPaths":
      return { keyPaths: shape.strings(source) };
    case "keyData":
      return { keyData: shape.base64(source) };
  }
}
