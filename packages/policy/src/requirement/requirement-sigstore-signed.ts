import { howToGive } from "../internal/policy-example.ts";
import type { PolicyShape } from "../internal/policy-shape.ts";
import { parseSignerKeys, SIGNER_KEYS, type SignerKeys } from "../key/signer-keys.ts";
import { parseSignedIdentityOrDefault, type SignedIdentity } from "./signed-identity.ts";

/** Certificates of a short-lived-key authority, and whom it must have vouched for. */
export type SigstoreFulcio = ({ readonly caPath: string } | { readonly caData: string }) & {
  readonly oidcIssuer: string;
  readonly subjectEmail: string;
};

/** Certificates of one's own authority, and whom it must have vouched for. */
export type SigstorePki = ({ readonly caRootsPath: string } | { readonly caRootsData: string }) & {
  readonly caIntermediatesPath?: string;
  readonly caIntermediatesData?: string;
  readonly subjectEmail?: string;
  readonly subjectHostname?: string;
};

/** Whose signatures count. */
export type SigstoreTrust =
  | SignerKeys
  | { readonly fulcio: SigstoreFulcio }
  | { readonly pki: SigstorePki };

/** Keys of the transparency log whose promise is wanted too, if any are given. */
export interface SigstoreRekor {
  readonly rekorPublicKeyPath?: string;
  readonly rekorPublicKeyPaths?: readonly string[];
  readonly rekorPublicKeyData?: string;
  readonly rekorPublicKeyDatas?: readonly string[];
}

/** Allows what has a sigstore signature by one who is trusted, for the right identity. */
export type SigstoreSignedRequirement = SigstoreTrust &
  SigstoreRekor & {
    readonly type: "sigstoreSigned";
    readonly signedIdentity: SignedIdentity;
  };

const TRUST_KEYS = [...SIGNER_KEYS, "fulcio", "pki"] as const;
const REKOR_KEYS = [
  "rekorPublicKeyPath",
  "rekorPublicKeyPaths",
  "rekorPublicKeyData",
  "rekorPublicKeyDatas",
] as const;

export function parseSigstoreSigned(shape: PolicyShape): SigstoreSignedRequirement {
  shape.allow("type", "signedIdentity", ...TRUST_KEYS, ...REKOR_KEYS);
  const trust = parseTrust(shape);
  const rekor = parseRekor(shape);
  const [rekorKey] = Object.keys(rekor);
  if ("fulcio" in trust && rekorKey === undefined) {
    shape.fail(
      `needs a Rekor key: without the log's time a short-lived key proves nothing${howToGive("rekorPublicKeyPath")}`,
    );
  }
  if ("pki" in trust && rekorKey !== undefined) shape.fail("is not for pki: remove it", rekorKey);
  return {
    type: "sigstoreSigned",
    ...trust,
    ...rekor,
    signedIdentity: parseSignedIdentityOrDefault(shape),
  };
}

function parseTrust(shape: PolicyShape): SigstoreTrust {
  const source = shape.exactlyOne(...TRUST_KEYS);
  switch (source) {
    case "fulcio":
      return { fulcio: parseFulcio(shape.inner(source)) };
    case "pki":
      return { pki: parsePki(shape.inner(source)) };
    default:
      return parseSignerKeys(shape, source);
  }
}

function parseRekor(shape: PolicyShape): SigstoreRekor {
  const source = shape.atMostOne(...REKOR_KEYS);
  switch (source) {
    case undefined:
      return {};
    case "rekorPublicKeyPath":
      return { rekorPublicKeyPath: shape.filledString(source) };
    case "rekorPublicKeyPaths":
      return { rekorPublicKeyPaths: shape.filledStrings(source) };
    case "rekorPublicKeyData":
      return { rekorPublicKeyData: shape.base64(source) };
    case "rekorPublicKeyDatas":
      return { rekorPublicKeyDatas: shape.filledBase64List(source) };
  }
}

function parseFulcio(shape: PolicyShape): SigstoreFulcio {
  shape.allow("caPath", "caData", "oidcIssuer", "subjectEmail");
  const source = shape.exactlyOne("caPath", "caData");
  return {
    ...(source === "caPath"
      ? { caPath: shape.filledString(source) }
      : { caData: shape.base64(source) }),
    oidcIssuer: shape.filledString("oidcIssuer"),
    subjectEmail: shape.filledString("subjectEmail"),
  };
}

function parsePki(shape: PolicyShape): SigstorePki {
  shape.allow(
    "caRootsPath",
    "caRootsData",
    "caIntermediatesPath",
    "caIntermediatesData",
    "subjectEmail",
    "subjectHostname",
  );
  const roots = shape.exactlyOne("caRootsPath", "caRootsData");
  const intermediates = shape.atMostOne("caIntermediatesPath", "caIntermediatesData");
  if (!shape.has("subjectEmail") && !shape.has("subjectHostname")) {
    shape.fail(`needs subjectEmail, subjectHostname or both${howToGive("subjectEmail")}`);
  }
  return {
    ...(roots === "caRootsPath"
      ? { caRootsPath: shape.filledString(roots) }
      : { caRootsData: shape.base64(roots) }),
    ...(intermediates === "caIntermediatesPath" && {
      caIntermediatesPath: shape.filledString(intermediates),
    }),
    ...(intermediates === "caIntermediatesData" && {
      caIntermediatesData: shape.base64(intermediates),
    }),
    ...(shape.has("subjectEmail") && { subjectEmail: shape.filledString("subjectEmail") }),
    ...(shape.has("subjectHostname") && { subjectHostname: shape.filledString("subjectHostname") }),
  };
}
