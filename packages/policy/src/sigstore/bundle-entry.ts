import { createPublicKey } from "node:crypto";

import type { Bundle } from "@sigstore/bundle";
import { errorKind, type JsonValue, parseJsonDocument } from "@stowage/content";

import { SignatureRejection } from "../signature/signature-rejection.ts";

type Entry = Bundle["verificationMaterial"]["tlogEntries"][number];

const PEM = /^-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*$/;

/**
 * Holds every log entry to the key or certificate that verified the bundle. The sigstore verifier
 * compares payload and signature; one signature may fit a second key that somebody made for it.
 *
 * @param verifier - in DER.
 * @throws SignatureRejection
 */
export function requireSameVerifier({ verificationMaterial }: Bundle, verifier: Uint8Array): void {
  for (const entry of verificationMaterial.tlogEntries) {
    const found = verifiersOf(entry);
    if (found.length === 1 && found[0] !== undefined && Buffer.compare(found[0], verifier) === 0)
      continue;
    throw new SignatureRejection("malformed", "its log entry is about another key");
  }
}

function verifiersOf({
  canonicalizedBody,
  kindVersion,
}: Entry): readonly (Uint8Array | undefined)[] {
  const spec = at(readJson(canonicalizedBody), "spec");
  switch (`${kindVersion.kind} ${kindVersion.version}`) {
    case "dsse 0.0.1":
      return listOf(at(spec, "signatures")).map((item) => derOfPem(at(item, "verifier")));
    case "hashedrekord 0.0.1":
      return [derOfPem(at(spec, "signature", "publicKey", "content"))];
    case "dsse 0.0.2":
      return listOf(at(spec, "dsseV002", "signatures")).map((item) => rawOf(at(item, "verifier")));
    case "hashedrekord 0.0.2":
      return [rawOf(at(spec, "hashedRekordV002", "signature", "verifier"))];
    default:
      return [];
  }
}

function derOfPem(value: JsonValue | undefined): Uint8Array | undefined {
  if (typeof value !== "string") return undefined;
  const text = Buffer.from(value, "base64").toString("latin1");
  const [, kind, content] = PEM.exec(text) ?? [];
  if (kind === "CERTIFICATE") return Buffer.from(content ?? "", "base64");
  try {
    return createPublicKey(text).export({ format: "der", type: "spki" });
  } catch {
    // What is no key is not the key.
    return undefined;
  }
}

function rawOf(verifier: JsonValue | undefined): Uint8Array | undefined {
  const raw = at(verifier, "x509Certificate", "rawBytes") ?? at(verifier, "publicKey", "rawBytes");
  return typeof raw === "string" ? Buffer.from(raw, "base64") : undefined;
}

function at(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined;
    found = (found as { readonly [key: string]: JsonValue })[key];
  }
  return found;
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [];
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw new SignatureRejection("malformed", "its log entry is no JSON document", { cause });
  }
}
