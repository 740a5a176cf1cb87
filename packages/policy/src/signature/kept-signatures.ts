/**
 * Signatures as they are kept with an image, so that it can be judged again where no registry is.
 *
 * @module
 */
import { errorKind, escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";
import type { FoundSignatures } from "../ports.ts";
import { formatSignatureBlob, parseSignatureBlob } from "./signature-blob.ts";
import { type ImageSignature, MAX_SIGNATURES, MAX_SIGNATURES_BYTES } from "./signature.ts";

/** The most bytes that {@link packSignatures} makes: base64, and their places. */
export const MAX_KEPT_BYTES: number = 2 * MAX_SIGNATURES_BYTES;

/** One document of all signatures, with where they were found. */
export function packSignatures(signatures: readonly ImageSignature[]): Uint8Array {
  const entries = signatures.map((signature) => ({
    origin: signature.origin,
    blob: Buffer.from(formatSignatureBlob(signature)).toString("base64"),
  }));
  return Buffer.from(JSON.stringify({ version: 1, signatures: entries }));
}

/**
 * What {@link packSignatures} packed.
 *
 * @throws {@link PolicyError} `ERR_POLICY_SIGNATURE_INVALID`
 */
export function unpackSignatures(bytes: Uint8Array): FoundSignatures {
  const signatures = entriesOf(bytes).map((entry) => {
    const { origin, blob } = (entry ?? {}) as { origin?: unknown; blob?: unknown };
    if (typeof origin !== "string" || typeof blob !== "string") throw invalid();
    return parseSignatureBlob(Buffer.from(blob, "base64"), origin);
  });
  const location = "the signatures kept with the image";
  return { signatures, places: [{ kind: "store", location, found: signatures.length }] };
}

function entriesOf(bytes: Uint8Array): readonly JsonValue[] {
  let document: JsonValue;
  try {
    document = parseJsonDocument(bytes, { maxBytes: MAX_KEPT_BYTES });
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw invalid((cause as Error).message, cause);
  }
  const { version, signatures } = (document ?? {}) as { version?: unknown; signatures?: unknown };
  if (version !== 1 || !Array.isArray(signatures)) throw invalid();
  if (signatures.length > MAX_SIGNATURES) throw invalid();
  return signatures as readonly JsonValue[];
}

function invalid(why = "they have not the form", cause?: unknown): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURE_INVALID",
    `the signatures kept with the image cannot be read: ${escapeText(why)}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: "Pull the image again.",
    },
  );
}
