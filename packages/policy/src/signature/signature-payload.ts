/**
 * What a signature says: which manifest is to be had under which name.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-signature.5.md
 * @module
 */
import { errorKind, escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { SignatureRejection } from "./signature-rejection.ts";

/** The claims of a signature. Nobody has vouched for them until its cryptography was checked. */
export interface SignaturePayload {
  /** Text that was written as a digest; compare it with that of the manifest. */
  readonly manifestDigest: string;
  /** Text that was written as a name. */
  readonly dockerReference: string;
}

/** Who wrote a payload; their types are not interchangeable. */
export type PayloadType = "atomic container signature" | "cosign container image signature";

type JsonObject = { readonly [key: string]: JsonValue };

const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** Reads a payload; one key too many, too few or twice is an error. */
export function parseSignaturePayload(bytes: Uint8Array, type: PayloadType): SignaturePayload {
  const document = objectOf(readJson(bytes), "the payload", "critical", "optional");
  const critical = objectOf(document["critical"], "critical", "type", "image", "identity");
  if (critical["type"] !== type) {
    const found = typeof critical["type"] === "string" ? critical["type"] : "of no type";
    refuse(`its payload is ${escapeText(found, 80)}, not ${type}`);
  }
  const image = objectOf(critical["image"], "critical.image", "docker-manifest-digest");
  const identity = objectOf(critical["identity"], "critical.identity", "docker-reference");
  checkOptional(document["optional"], type);
  return {
    manifestDigest: stringOf(image["docker-manifest-digest"], "docker-manifest-digest"),
    dockerReference: stringOf(identity["docker-reference"], "docker-reference"),
  };
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes, { maxBytes: MAX_PAYLOAD_BYTES, maxNodes: 10_000 });
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw new SignatureRejection("malformed", `its payload is no ${(cause as Error).message}`, {
      cause,
    });
  }
}

// Signers may add what they like here; only the two fields that have a meaning must be sound.
function checkOptional(value: JsonValue | undefined, type: PayloadType): void {
  if (value === null && type === "cosign container image signature") return;
  const optional = objectOf(value, "optional");
  const { creator, timestamp } = optional;
  if (creator !== undefined && typeof creator !== "string") refuse("optional.creator is no string");
  if (timestamp !== undefined && !Number.isInteger(timestamp)) {
    refuse("optional.timestamp is no integer");
  }
}

/** With `keys`, the object must have each of them and no other. */
function objectOf(
  value: JsonValue | undefined,
  what: string,
  ...keys: readonly string[]
): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    refuse(`${what} is not an object`);
  }
  const object = value as JsonObject;
  if (keys.length === 0) return object;
  const missing = keys.find((key) => object[key] === undefined);
  if (missing !== undefined) refuse(`${what} has no ${missing}`);
  const unknown = Object.keys(object).find((key) => !keys.includes(key));
  if (unknown !== undefined) refuse(`${what} has an unknown key ${escapeText(unknown, 80)}`);
  return object;
}

function stringOf(value: JsonValue | undefined, what: string): string {
  return typeof value === "string" ? value : refuse(`${what} is not a string`);
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
