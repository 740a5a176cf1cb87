import type { SigstoreSignature } from "@stowage/policy";

import { everyFlip, pemOf, withAnnotation } from "./changed-signature.ts";
import { CERTIFICATE, cosignSign, type Issued } from "./sigstore-signer.ts";

/** Whom certificates of tests are for. */
export const EMAIL = "alice@example.com";

/** A signature by the key of a certificate, and the certificate with it. */
export function certified({ signer, pem }: Issued): SigstoreSignature {
  return withAnnotation(cosignSign(signer), CERTIFICATE, pem);
}

/** The signature with each single bit of its certificate turned. */
export function withFlippedCertificate(
  signature: SigstoreSignature,
  { certificate }: Issued,
): readonly SigstoreSignature[] {
  return everyFlip(Buffer.from(certificate.rawData), (flipped) =>
    withAnnotation(signature, CERTIFICATE, pemOf(flipped)),
  );
}
