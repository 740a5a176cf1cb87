import type { PolicyShape } from "../internal/policy-shape.ts";
import {
  type JudgeContext,
  judgeSignatures,
  requireClaims,
} from "../signature/judge-signatures.ts";
import { readKeyMaterial } from "../key/key-material.ts";
import {
  type NamedKey,
  readOpenPgpKeys,
  verifySignedMessage,
} from "../signature/openpgp-signature.ts";
import { parseSignaturePayload } from "../signature/signature-payload.ts";
import { parseSignedIdentityOrDefault, type SignedIdentity } from "./signed-identity.ts";
import { type SignerKeys, signerKeySource } from "../key/signer-keys.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** What sort of keys a {@link SignedByRequirement} has; only those of GnuPG can ever sign. */
export type SignedByKeyType =
  | "GPGKeys"
  | "signedByGPGKeys"
  | "X509Certificates"
  | "signedByX509CAs";

/** One of several ways to give the keys: file, files, or base64 data, once. */
export type SignedByKeys = Exclude<SignerKeys, { readonly keyDatas: unknown }>;

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
  if (!shape.has("keyType")) shape.fail('is missing: write "keyType": "GPGKeys"', "keyType");
  const keyType = shape.string("keyType");
  if (!KEY_TYPES.includes(keyType)) {
    shape.fail(`is none of ${KEY_TYPES.join(", ")}: write "GPGKeys"`, "keyType");
  }
  return {
    type: "signedBy",
    keyType: keyType as SignedByKeyType,
    ...parseKeys(shape),
    signedIdentity: parseSignedIdentityOrDefault(shape),
  };
}

/** Judges by the keys as they are now: who evaluates again reads them again. */
export async function judgeSignedBy(
  requirement: SignedByRequirement,
  context: JudgeContext,
): Promise<RequirementVerdict> {
  const { keyType, signedIdentity } = requirement;
  if (keyType !== "GPGKeys") {
    return {
      type: "signedBy",
      allowed: false,
      reason: `it cannot be checked: no tool gives the keyType ${keyType} a meaning`,
      remedy: 'Use "keyType": "GPGKeys".',
    };
  }
  const keys = await readSignedByKeys(requirement, context);
  return await judgeSignatures(context, {
    type: "signedBy",
    format: "simple-signing",
    noun: "GPG signature",
    async check({ bytes }) {
      const { content, fingerprint } = await verifySignedMessage(bytes, keys, context);
      const payload = parseSignaturePayload(content, "atomic container signature");
      requireClaims(payload, signedIdentity, context);
      return { signer: `the OpenPGP key ${fingerprint}`, identity: payload.dockerReference };
    },
  });
}

/** @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` */
export async function readSignedByKeys(
  requirement: SignedByRequirement,
  { readKeyFile, signal }: Pick<JudgeContext, "readKeyFile" | "signal">,
): Promise<readonly NamedKey[]> {
  return await readOpenPgpKeys(
    await readKeyMaterial(signerKeySource(requirement), readKeyFile, signal),
  );
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
