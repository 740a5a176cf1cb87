import type { enums, Message, PublicKey, Subkey } from "openpgp";

import { SignatureRejection } from "./signature-rejection.ts";

/** The fewest bits of an RSA key: of one that is said to have 2048, the first may be zero. */
const MIN_RSA_BITS = 2047;

/**
 * What of a signature is too easy to forge, if that may be why it does not hold; only looks for words.
 *
 * @param used - the primary key, and the one that signed.
 */
export function weakness(
  message: Message<Uint8Array>,
  used: readonly (PublicKey | Subkey)[],
  { hash, packet }: Pick<typeof enums, "hash" | "packet">,
): SignatureRejection | undefined {
  for (const key of used) {
    const { algorithm, bits = MIN_RSA_BITS, curve } = key.getAlgorithmInfo();
    const isShort = algorithm.startsWith("rsa") && bits < MIN_RSA_BITS;
    if (!isShort && algorithm !== "dsa" && curve !== "secp256k1") continue;
    const kind = isShort ? `${algorithm}, ${bits} bits` : (curve ?? algorithm);
    return new SignatureRejection(
      "untrusted",
      `its key ${key.getFingerprint().toUpperCase()} is too weak (${kind})`,
      {
        remedy:
          "Have it signed by a key that nobody can break, of RSA with 2048 bits or more or of Ed25519, and give the policy that one.",
      },
    );
  }
  const { packets } = message.unwrapCompressed();
  const [signature] = packets.filterByTag(packet.signature);
  const [announced] = packets.filterByTag(packet.onePassSignature);
  // Once it was verified, only what announced the signature may be left.
  const algorithm: unknown =
    signature !== undefined && "hashAlgorithm" in signature
      ? signature.hashAlgorithm
      : announced?.write()[2];
  const forgeable: readonly unknown[] = [hash.md5, hash.sha1, hash.ripemd];
  return forgeable.includes(algorithm)
    ? new SignatureRejection("untrusted", "it is by a hash that can be forged", {
        remedy:
          "Have it signed again, by SHA-256 or better: gpg does, unless --digest-algo says otherwise.",
      })
    : undefined;
}
