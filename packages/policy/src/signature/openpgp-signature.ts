/**
 * OpenPGP signed messages, held to the keys of a policy and to no others.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9580
 * @module
 */
import type {
  enums,
  Key,
  KeyID,
  Message,
  PartialConfig,
  PublicKey,
  SignaturePacket,
  Subkey,
} from "openpgp";

import { noKeyOf } from "../key/foreign-key.ts";
import { invalidKey, type KeyMaterial } from "../key/key-material.ts";
import { otherKeyRemedy } from "../key/key-remedy.ts";
import type { RequirementSpot } from "../requirement/requirement-spot.ts";
import { weakness } from "./openpgp-weakness.ts";
import { SignatureRejection } from "./signature-rejection.ts";

/** What was signed, and by which of the keys. */
export interface VerifiedMessage {
  readonly content: Uint8Array;
  /** Of the primary key, in upper-case hex, as gpg writes it. */
  readonly fingerprint: string;
}

/** A public key, and the file or the field of the policy that it is from. */
export interface NamedKey {
  readonly key: PublicKey;
  readonly name: string;
}

const MAX_CONTENT_BYTES = 4 * 1024 * 1024;
const STRICT: PartialConfig = {
  ignoreUnsupportedPackets: false,
  ignoreMalformedPackets: false,
  maxDecompressedMessageSize: MAX_CONTENT_BYTES,
};
const ARMOR = /-----BEGIN PGP ([A-Z ]+)-----[\s\S]*?-----END PGP \1-----/g;

/**
 * Reads public keys, armored or not, one or several.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` for anything else, a private key above all.
 */
export async function readOpenPgpKeys(
  materials: readonly KeyMaterial[],
): Promise<readonly NamedKey[]> {
  const { readKeys } = await import("openpgp");
  const keys: NamedKey[] = [];
  for (const { name, bytes } of materials) {
    const text = Buffer.from(bytes).toString("latin1");
    const armored = [...text.matchAll(ARMOR)].map(([block]) => block);
    const found: Key[] = [];
    try {
      if (armored.length === 0) found.push(...(await readKeys({ binaryKeys: bytes })));
      for (const armoredKeys of armored) found.push(...(await readKeys({ armoredKeys })));
    } catch {
      // What the library says is about packets, and not about the file.
      throw invalidKey(name, noKeyOf("OpenPGP public key", bytes));
    }
    if (found.length === 0) throw invalidKey(name, noKeyOf("OpenPGP public key", bytes));
    if (found.some((key) => key.isPrivate())) {
      throw invalidKey(
        name,
        "holds a private key, which must not be here: put its public half there, as gpg --armor --export has it",
      );
    }
    keys.push(...found.map((key) => ({ key, name })));
  }
  return keys;
}

/**
 * Checks a message that carries its content. It must have exactly one signature, by a key that is
 * valid now: neither expired nor revoked, also if it was not when it signed.
 */
export async function verifySignedMessage(
  bytes: Uint8Array,
  keys: readonly NamedKey[],
  { now, spot }: { readonly now: Date; readonly spot: RequirementSpot },
): Promise<VerifiedMessage> {
  const { enums, verify } = await import("openpgp");
  const message = await readSignedMessage(bytes);
  const [keyID] = message.getSigningKeyIDs();
  const signer = keyID && keys.find(({ key }) => key.getKeys(keyID).length > 0)?.key;
  if (keyID === undefined || signer === undefined) {
    const claimed = keyID?.toHex().toUpperCase();
    const known = keys.map(({ key, name }) => `${key.getFingerprint().toUpperCase()} of ${name}`);
    throw new SignatureRejection(
      "untrusted",
      `it is by the OpenPGP key ${claimed ?? "of nobody"}, which is none of the policy's`,
      { remedy: otherKeyRemedy(known, spot, claimed), isOtherKey: true },
    );
  }
  const fingerprint = signer.getFingerprint().toUpperCase();
  await requireValidKey(signer, now);
  try {
    const { data, signatures } = await verify({
      message,
      verificationKeys: signer,
      format: "binary",
      date: now,
      config: STRICT,
    });
    const [only] = signatures;
    if (only === undefined || signatures.length !== 1) {
      return malformed("it has no signature, or more than one");
    }
    await only.verified;
    const [packet] = (await only.signature).packets;
    // A signature of text holds whatever its line ends are.
    if (packet?.signatureType !== enums.signature.binary) return malformed("it signs no bytes");
    requireNothingBeside(message.unwrapCompressed(), packet, signer.getKeys(keyID), enums.packet);
    // The library asks whether the key was good when it signed; it must be good still.
    await requireSigningKey(signer, keyID, now);
    return { content: data, fingerprint };
  } catch (cause) {
    if (cause instanceof SignatureRejection) throw cause;
    // What the library says is about packets, and not about what to do.
    throw (
      weakness(message, [signer, ...signer.getKeys(keyID)], enums) ??
      new SignatureRejection("malformed", "its signature does not hold", { cause })
    );
  }
}

/** Of remarks that nobody signed, those that say whose the signature is: its key ID, fingerprint. */
const ISSUER = 16;
const ISSUER_FINGERPRINT = 33;
const BINARY = "b".charCodeAt(0);

/**
 * Nobody signs what goes before the content, nor the second list of remarks: they must say what is
 * signed, or nothing.
 */
function requireNothingBeside(
  { packets }: Message<Uint8Array>,
  signature: SignaturePacket,
  keys: readonly (PublicKey | Subkey)[],
  tags: Pick<typeof enums.packet, "literalData" | "onePassSignature">,
): void {
  const [announced] = packets.filterByTag(tags.onePassSignature);
  const { signatureType, hashAlgorithm, publicKeyAlgorithm } = signature;
  const bytes = announced?.write();
  const said = bytes && [...bytes.subarray(1, 4), bytes.at(-1)];
  const meant = [signatureType, hashAlgorithm, publicKeyAlgorithm, 1];
  if (said?.some((byte, index) => byte !== meant[index])) {
    malformed("what goes before the content announces another signature");
  }
  if (packets.findPacket(tags.literalData)?.write()[0] !== BINARY) malformed("it has no bytes");
  const issuers = keys.flatMap(({ keyPacket }) => [
    `${ISSUER} ${keyPacket.getKeyID().toHex()}`,
    `${ISSUER_FINGERPRINT} ${hex([keyPacket.version])}${keyPacket.getFingerprint()}`,
  ]);
  for (const { type, critical, body } of signature.unhashedSubpackets) {
    const isIssuer = issuers.includes(`${type} ${hex(body)}`);
    if (critical || !isIssuer) malformed(`it has a remark (${type}) that nobody signed`);
  }
}

async function readSignedMessage(bytes: Uint8Array): Promise<Message<Uint8Array>> {
  const { readMessage } = await import("openpgp");
  try {
    return await readMessage({ binaryMessage: bytes, config: STRICT });
  } catch (cause) {
    throw new SignatureRejection("malformed", "it is no OpenPGP message that can be read", {
      cause,
    });
  }
}

async function requireValidKey(key: PublicKey, now: Date): Promise<void> {
  try {
    await key.verifyPrimaryKey(now);
  } catch (cause) {
    throw invalidSigner(key, cause);
  }
}

async function requireSigningKey(key: PublicKey, keyID: KeyID, now: Date): Promise<void> {
  try {
    await key.getSigningKey(keyID, now);
  } catch (cause) {
    throw invalidSigner(key, cause);
  }
}

function invalidSigner(key: PublicKey, cause: unknown): SignatureRejection {
  const { curve = "" } = key.getAlgorithmInfo();
  if (/^(?:brainpool|secp256k1)/.test(curve)) {
    return new SignatureRejection(
      "untrusted",
      `its key ${key.getFingerprint().toUpperCase()} is on the curve ${curve}, by which nothing can be verified here`,
      { cause, remedy: "Have it signed by a key of Ed25519, of a NIST curve or of RSA." },
    );
  }
  const text = cause instanceof Error ? cause.message : "";
  const [state = "not valid"] = /expired|revoked/i.exec(text) ?? [];
  return new SignatureRejection(
    "untrusted",
    `its key ${key.getFingerprint().toUpperCase()} is ${state.toLowerCase()}`,
    { cause, remedy: "Have it signed by a key that is neither expired nor revoked." },
  );
}

function hex(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString("hex");
}

function malformed(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
