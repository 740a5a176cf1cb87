/**
 * The promise of a transparency log to have an entry, and the time that it says.
 *
 * @see https://github.com/sigstore/rekor/blob/v1.4.2/types.md
 * @module
 */
import { createHash, createPublicKey } from "node:crypto";

import { errorKind, type JsonValue, parseJsonDocument } from "@stowage/content";

import { readCertificates } from "./certificate.ts";
import { decodeBase64, type SigstoreKey, verifySignature } from "./sigstore-key.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** What an entry must be about. */
export interface LoggedSignature {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** The key or certificate that verifies it, in DER. */
  readonly verifier: Uint8Array;
}

type JsonObject = { readonly [key: string]: JsonValue };

const MAX_BYTES = 1024 * 1024;
const MAX_AHEAD_MS = 10 * 60 * 1000;

/**
 * Checks a signed entry timestamp, then that its entry is about this very signature.
 *
 * @param text - the annotation of a cosign signature.
 * @returns when the log says that it took the entry.
 * @throws SignatureRejection
 */
export function requireLogged(
  text: string,
  logKeys: readonly SigstoreKey[],
  logged: LoggedSignature,
  now: Date,
): Date {
  const bundle = objectOf(readJson(Buffer.from(text)), "SignedEntryTimestamp", "Payload");
  // Escapes and other forms of a number would be canonical for one reader and not for another.
  if (text.replaceAll(/\s/g, "") !== JSON.stringify(bundle)) {
    refuse("its log entry is written in another way than logs write");
  }
  const payload = objectOf(bundle["Payload"], "body", "integratedTime", "logIndex", "logID");
  const { body, integratedTime, logIndex, logID } = payload;
  if (typeof body !== "string" || typeof logID !== "string") refuse("its log entry is incomplete");
  if (!Number.isInteger(integratedTime) || !Number.isInteger(logIndex)) {
    refuse("its log entry is incomplete");
  }
  const canonical = Buffer.from(JSON.stringify({ body, integratedTime, logID, logIndex }));
  const promise = decodeBase64(stringOf(bundle["SignedEntryTimestamp"]), "its log's promise");
  if (!logKeys.some(({ key }) => verifySignature(canonical, promise, key))) {
    throw new SignatureRejection("untrusted", "its log entry is by none of the policy's logs", {
      remedy:
        "Check that rekorPublicKey… of the policy is the key of the log that was signed with.",
    });
  }
  requireEntry(decodeBase64(body, "its log entry"), logged);
  const time = new Date(Number(integratedTime) * 1000);
  if (!(time.getTime() > 0) || time.getTime() > now.getTime() + MAX_AHEAD_MS) {
    refuse("its log entry is from the future");
  }
  return time;
}

// A valid entry about something else proves nothing of this signature.
function requireEntry(body: Uint8Array, { payload, signature, verifier }: LoggedSignature): void {
  const entry = objectOf(readJson(body), "apiVersion", "kind", "spec");
  if (entry["kind"] !== "hashedrekord" || entry["apiVersion"] !== "0.0.1") {
    refuse("its log entry is of another kind");
  }
  const spec = objectOf(entry["spec"], "data", "signature");
  const { hash } = objectOf(spec["data"], "hash");
  const { algorithm, value } = objectOf(hash, "algorithm", "value");
  if (algorithm !== "sha256" || value !== createHash("sha256").update(payload).digest("hex")) {
    refuse("its log entry is about another payload");
  }
  const { content, publicKey } = objectOf(spec["signature"], "content", "publicKey");
  if (!isSame(decodeBase64(stringOf(content), "its log entry's signature"), signature)) {
    refuse("its log entry is about another signature");
  }
  const { content: pem } = objectOf(publicKey, "content");
  const text = Buffer.from(decodeBase64(stringOf(pem), "its log entry's key")).toString("latin1");
  if (!isSame(derOf(text), verifier)) refuse("its log entry is about another key");
}

function derOf(pem: string): Uint8Array {
  if (pem.includes("-----BEGIN CERTIFICATE-----")) {
    const [certificate, more] = readCertificates(pem);
    if (certificate === undefined || more !== undefined) refuse("its log entry has several keys");
    return certificate.der;
  }
  try {
    return createPublicKey(pem).export({ format: "der", type: "spki" });
  } catch (cause) {
    throw new SignatureRejection("malformed", "its log entry has no key", { cause });
  }
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes, { maxBytes: MAX_BYTES, maxNodes: 1000 });
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw new SignatureRejection("malformed", "its log entry is no JSON document", { cause });
  }
}

/** An object that has each of `keys` and no other. */
function objectOf(value: JsonValue | undefined, ...keys: readonly string[]): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    refuse("its log entry is incomplete");
  }
  const object = value as JsonObject;
  const found = Object.keys(object);
  if (found.length !== keys.length || !keys.every((key) => found.includes(key))) {
    refuse("its log entry has other fields than it must");
  }
  return object;
}

function stringOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : refuse("its log entry is incomplete");
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
