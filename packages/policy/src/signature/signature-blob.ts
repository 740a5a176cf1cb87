/**
 * Signatures as files: what they are is told from their first byte.
 *
 * @module
 */
import { errorKind, escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";
import type { ImageSignature } from "./signature.ts";

const SIGSTORE_NAME = "sigstore-json";
const SIMPLE_NAME = "simple-signing";
const BUNDLE_NAME = "sigstore-bundle";
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** Compressed data, one-pass signature, signature: what a signed message may begin with. */
const OPENPGP_TAGS: readonly number[] = [8, 4, 2];

/**
 * Reads the file of a signature.
 *
 * @throws {@link PolicyError} `ERR_POLICY_SIGNATURE_INVALID` for armor, and for all that is no
 *   signature: what stands where signatures are and cannot be read is not the same as nothing.
 */
export function parseSignatureBlob(bytes: Uint8Array, origin: string): ImageSignature {
  const [first] = bytes;
  if (first === undefined) throw invalid(origin, "is empty");
  if (first !== 0) {
    if (isOpenPgp(first)) return { format: "simple-signing", bytes, origin };
    throw invalid(origin, "is neither an OpenPGP message nor announces what it is");
  }
  const end = bytes.indexOf(0x0a);
  const name = Buffer.from(bytes.subarray(1, end === -1 ? 64 : end)).toString("latin1");
  const content = bytes.subarray(end + 1);
  if (end === -1 || !/^[\x20-\x7e]{1,64}$/.test(name)) throw invalid(origin, "names no format");
  switch (name) {
    case SIMPLE_NAME:
      return { format: "simple-signing", bytes: content, origin };
    case BUNDLE_NAME:
      return { format: "sigstore-bundle", bytes: content, origin };
    case SIGSTORE_NAME:
      return readSigstore(content, origin);
    default:
      throw invalid(origin, `is of the unknown format ${escapeText(name, 80)}`);
  }
}

/** The file of a signature; what {@link parseSignatureBlob} reads. */
export function formatSignatureBlob(signature: ImageSignature): Uint8Array {
  switch (signature.format) {
    case "simple-signing":
      return signature.bytes;
    case "sigstore-bundle":
      return Buffer.concat([Buffer.from(`\0${BUNDLE_NAME}\n`), signature.bytes]);
    case "sigstore-attachment": {
      const { mimeType, annotations } = signature;
      const payload = Buffer.from(signature.payload).toString("base64");
      const json = JSON.stringify({ mimeType, payload, annotations });
      return Buffer.from(`\0${SIGSTORE_NAME}\n${json}`);
    }
  }
}

function readSigstore(bytes: Uint8Array, origin: string): ImageSignature {
  const json = readJson(bytes, origin);
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw invalid(origin, "is no object");
  }
  const { mimeType, payload, annotations, ...others } = json as Readonly<Record<string, JsonValue>>;
  if (
    typeof mimeType !== "string" ||
    typeof payload !== "string" ||
    !BASE64.test(payload) ||
    !isTextMap(annotations) ||
    Object.keys(others).length > 0
  ) {
    throw invalid(origin, "has not the fields mimeType, payload and annotations");
  }
  const content = Buffer.from(payload, "base64");
  return { format: "sigstore-attachment", mimeType, payload: content, annotations, origin };
}

function readJson(bytes: Uint8Array, origin: string): JsonValue {
  try {
    return parseJsonDocument(bytes, { maxBytes: bytes.byteLength, maxNodes: 10_000 });
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw invalid(origin, "is no JSON document", cause);
  }
}

function isTextMap(value: JsonValue | undefined): value is Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((text) => typeof text === "string");
}

function isOpenPgp(first: number): boolean {
  if ((first & 0x80) === 0) return false;
  const tag = (first & 0x40) === 0 ? (first >> 2) & 0x0f : first & 0x3f;
  return OPENPGP_TAGS.includes(tag);
}

function invalid(origin: string, problem: string, cause?: unknown): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURE_INVALID",
    `the signature at ${escapeText(origin)} ${problem}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: "Remove or replace it: what cannot be read cannot be kept with the image.",
    },
  );
}
