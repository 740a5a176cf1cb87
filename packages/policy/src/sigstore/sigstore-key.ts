/**
 * Public keys of sigstore signatures and logs.
 *
 * @module
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";

import { noKeyOf } from "../key/foreign-key.ts";
import { invalidKey, type KeyMaterial } from "../key/key-material.ts";
import { otherKeyRemedy } from "../key/key-remedy.ts";
import type { RequirementSpot } from "../requirement/requirement-spot.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** A key that signs. */
export interface SigstoreKey {
  readonly key: KeyObject;
  /** As SubjectPublicKeyInfo: two keys are one if these bytes are. */
  readonly der: Uint8Array;
  /** What to call it. */
  readonly label: string;
  /** The file or the field of the policy that it is from. */
  readonly name?: string;
}

const MIN_RSA_BITS = 2048;
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const PEM = /-----BEGIN ((?:RSA )?PUBLIC KEY)-----[A-Za-z0-9+/=\s]*-----END \1-----/g;

/**
 * Reads one public key from each.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` for anything else, and for weak keys.
 */
export function readSigstoreKeys(materials: readonly KeyMaterial[]): readonly SigstoreKey[] {
  return materials.map(({ name, bytes }) => {
    const text = Buffer.from(bytes).toString("latin1");
    if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
      throw invalidKey(
        name,
        "holds a private key, which must not be here: put its public half there, as cosign public-key and openssl pkey -pubout have it",
      );
    }
    const [block, more] = [...text.matchAll(PEM)].map(([found]) => found);
    if (block === undefined) throw invalidKey(name, noKeyOf("public key in PEM", bytes));
    if (more !== undefined) throw invalidKey(name, "holds more than one key");
    return readKey(name, block);
  });
}

/** A key that was taken from a certificate or a log entry. */
export function sigstoreKey(key: KeyObject): SigstoreKey {
  const der = key.export({ format: "der", type: "spki" });
  const label = `the key sha256:${createHash("sha256").update(der).digest("hex")}`;
  return { key, der, label };
}

/** Whether nobody is known to be able to forge its signatures. */
export function isStrongKey(key: KeyObject): boolean {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "rsa":
      return modulusLength >= MIN_RSA_BITS;
    case "ec":
      return CURVES.includes(namedCurve);
    case "ed25519":
      return true;
    default:
      return false;
  }
}

/** Whether `signature` is over `data`: SHA-256 with ECDSA in DER or PKCS #1 v1.5, or Ed25519. */
export function verifySignature(data: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  const algorithm = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  try {
    return verify(algorithm, data, { key, dsaEncoding: "der" }, signature);
  } catch {
    // What OpenSSL cannot even read signs nothing.
    return false;
  }
}

/** Bytes of base64 that has one form only. */
export function decodeBase64(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (text !== "" && bytes.toString("base64") === text) return bytes;
  throw new SignatureRejection("malformed", `${what} is not in base64`);
}

/** Characters of a line, as `openssl base64` and `base64` break them. */
const LINES = [64, 76];

/** As {@link decodeBase64}, also where the tool that wrote it ended lines. */
export function decodeBase64Lines(text: string, what: string): Uint8Array {
  const joined = text.replaceAll("\n", "");
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  const isLine = body === joined || LINES.some((length) => body === inLines(joined, length));
  return decodeBase64(isLine ? joined : text, what);
}

function inLines(text: string, length: number): string {
  const count = Math.ceil(text.length / length);
  return Array.from({ length: count }, (_, at) => text.slice(at * length, (at + 1) * length)).join(
    "\n",
  );
}

function readKey(name: string, pem: string): SigstoreKey {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    // OpenSSL speaks of its decoders.
    throw invalidKey(name, "holds a block of PEM that is no public key");
  }
  if (!isStrongKey(key)) {
    throw invalidKey(name, `holds a key that is too weak or of a kind that signs no images`);
  }
  return { ...sigstoreKey(key), name };
}

/** What to do about a signature by none of these keys of a policy. */
export function otherSigstoreKeyRemedy(
  keys: readonly SigstoreKey[],
  spot: RequirementSpot,
): string {
  const known = keys.map(({ label, name }) => `${label} of ${name ?? "the policy"}`);
  return otherKeyRemedy(known, spot);
}
