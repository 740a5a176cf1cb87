import type { SignedEntity, Signer } from "@sigstore/verify";

import { bundleFailure } from "./bundle-failure.ts";
import type { ReadBundle } from "./read-bundle.ts";
import type { SigstoreKey } from "./sigstore-key.ts";
import type { TimestampToken } from "./timestamp-token.ts";
import type { TrustedRoot } from "./trusted-root.ts";

/** How many there must be of each that vouch. */
export interface Thresholds {
  readonly ctlogThreshold: number;
  readonly tlogThreshold: number;
  readonly timestampThreshold: number;
}

/**
 * Resolves to who signed, as the sigstore project's verifier finds it.
 *
 * @param key - the only one that is trusted, of a bundle that is not by an identity.
 * @throws SignatureRejection
 */
export async function verifyBundle(
  { bundle, tokens }: ReadBundle,
  root: TrustedRoot,
  key: SigstoreKey | undefined,
  thresholds: Thresholds,
): Promise<Signer> {
  const { toSignedEntity, toTrustMaterial, Verifier } = await import("@sigstore/verify");
  try {
    const trust = toTrustMaterial(root, () => {
      if (key === undefined) throw new Error("no keys are trusted");
      return { publicKey: key.key, validFor: () => true };
    });
    requireKnownCertificates(tokens, root);
    return new Verifier(trust, thresholds).verify(withTimes(toSignedEntity(bundle), tokens));
  } catch (cause) {
    throw bundleFailure(cause, bundle);
  }
}

/** The verifier passes over the certificates that come with a timestamp: nobody signed them. */
function requireKnownCertificates(tokens: readonly TimestampToken[], root: TrustedRoot): void {
  const known = root.timestampAuthorities.flatMap(({ certChain }) => certChain?.certificates ?? []);
  for (const certificate of tokens.flatMap(({ certificates }) => certificates)) {
    if (!known.some(({ rawBytes }) => Buffer.compare(rawBytes, certificate) === 0))
      throw new Error("a timestamp has a certificate that is none of the root's");
  }
}

/** The verifier's own reading of times knows three digits behind the seconds, or none. */
function withTimes(entity: SignedEntity, tokens: readonly TimestampToken[]): SignedEntity {
  const times = tokens.map(({ time }) => time).values();
  const timestamps = entity.timestamps.map((provider) => {
    if (provider.$case !== "timestamp-authority") return provider;
    const signingTime: PropertyDescriptor = { value: times.next().value };
    const timestamp: typeof provider.timestamp = Object.create(provider.timestamp, { signingTime });
    return { ...provider, timestamp };
  });
  return { ...entity, timestamps };
}
