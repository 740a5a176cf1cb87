import type { SigstoreSignature } from "@stowage/policy";
import { expect } from "vitest";

import { judgeImage } from "./judged-image.ts";
import { flipBit } from "./sigstore-signer.ts";

/** What is made of the bytes with each single bit turned. */
export function everyFlip(
  bytes: Uint8Array,
  make: (flipped: Buffer) => SigstoreSignature,
): readonly SigstoreSignature[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => ({
    ...make(flipBit(bytes, bit)),
    origin: `bit ${bit}`,
  }));
}

/** The origins of those that count. */
export async function acceptedAmong(
  requirement: object,
  signatures: readonly SigstoreSignature[],
): Promise<readonly string[]> {
  const { requirements } = await judgeImage([requirement], signatures);
  const verdicts = requirements[0]?.signatures ?? [];
  expect(verdicts).toHaveLength(signatures.length);
  return verdicts.filter(({ accepted }) => accepted).map(({ origin }) => origin);
}

export function withAnnotation(
  signature: SigstoreSignature,
  key: string,
  value: string,
): SigstoreSignature {
  return { ...signature, annotations: { ...signature.annotations, [key]: value } };
}

export function pemOf(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
