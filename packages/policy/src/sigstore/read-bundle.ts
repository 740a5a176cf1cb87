/**
 * Bundles as they are written: whatever one says that nobody signed must be what is signed elsewhere
 * in it, or must not be there.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto
 * @module
 */
import type { Bundle } from "@sigstore/bundle";
import { errorKind, type JsonValue, parseJsonDocument } from "@stowage/content";

import { requireBundleShape } from "./bundle-shape.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";
import { readTimestampToken, type TimestampToken } from "./timestamp-token.ts";

/** A text that ends with an empty line, and its signatures, a line each. */
const CHECKPOINT = /^(?:[^\n]+\n){3,}\n(?:\u2014 [^\s]+ [A-Za-z0-9+/]+=*\n)+$/;
/** Of the kinds of entries that Rekor v2 has. */
const REKOR_V2 = "0.0.2";
const MAX_AHEAD_MS = 10 * 60 * 1000;

/** A bundle, with its timestamps as they are read here. */
export interface ReadBundle {
  readonly bundle: Bundle;
  readonly tokens: readonly TimestampToken[];
}

/** @throws SignatureRejection if it is none of version 0.3. */
export async function readBundle(bytes: Uint8Array): Promise<Bundle> {
  const { assertBundleLatest, bundleFromJSON } = await import("@sigstore/bundle");
  // First by readers that let nothing be read in two ways, and nothing be passed over.
  const json = readJson(bytes);
  requireBundleShape(json);
  try {
    const bundle = bundleFromJSON(json);
    const requireLatest: (bundle: Bundle) => void = assertBundleLatest;
    if (bundle.verificationMaterial.tlogEntries.length > 0) requireLatest(bundle);
    return bundle;
  } catch (cause) {
    throw new SignatureRejection("malformed", "it is no bundle of version 0.3", { cause });
  }
}

/**
 * The bundle with what logs and clocks say in it.
 *
 * @throws SignatureRejection if they say what they cannot have said.
 */
export function withLog(bundle: Bundle, now: Date): ReadBundle {
  const { timestampVerificationData } = bundle.verificationMaterial;
  const stamps = timestampVerificationData?.rfc3161Timestamps ?? [];
  const tokens = stamps.map(({ signedTimestamp }) => readTimestampToken(signedTimestamp));
  const read = { bundle, tokens };
  requireTimes(read, now);
  requireProofs(bundle);
  return read;
}

/** The bundle for whoever trusts no log: entries that nobody can check prove nothing. */
export function withoutLog(bundle: Bundle): ReadBundle {
  const verificationMaterial = {
    ...bundle.verificationMaterial,
    tlogEntries: [],
    timestampVerificationData: undefined,
  };
  return { bundle: { ...bundle, verificationMaterial }, tokens: [] };
}

// A time that is still to come was not told by a clock.
function requireTimes({ bundle, tokens }: ReadBundle, now: Date): void {
  const latest = now.getTime() + MAX_AHEAD_MS;
  for (const { integratedTime, inclusionPromise } of bundle.verificationMaterial.tlogEntries) {
    if (Number(integratedTime) * 1000 > latest) refuse("its log entry is from the future");
    if (integratedTime !== "0" && inclusionPromise === undefined)
      refuse("its log entry tells a time that no log promised");
  }
  if (tokens.some(({ time }) => time.getTime() > latest))
    refuse("its timestamp is from the future");
}

// The verifier goes by the signed checkpoint alone; what is said beside it must not differ.
function requireProofs({ verificationMaterial }: Bundle): void {
  for (const { inclusionProof, kindVersion, logIndex } of verificationMaterial.tlogEntries) {
    if (inclusionProof === undefined) continue;
    const { treeSize, rootHash, checkpoint } = inclusionProof;
    // A log of Rekor v2 is one tree, so that there is one index.
    if (kindVersion.version === REKOR_V2 && inclusionProof.logIndex !== logIndex)
      refuse("its log entry has two indexes");
    const envelope = checkpoint?.envelope ?? "";
    const [, size, root] = envelope.split("\n");
    if (!isCheckpoint(envelope)) refuse("its checkpoint is malformed");
    if (treeSize !== size || rootHash.toString("base64") !== root) {
      refuse("its proof differs from the checkpoint");
    }
  }
}

function isCheckpoint(envelope: string): boolean {
  if (!CHECKPOINT.test(envelope)) return false;
  const [, lines = ""] = envelope.split("\n\n");
  // The last digit of base64 may have bits that stand for nothing.
  return lines
    .trimEnd()
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf(" ") + 1))
    .every((text) => Buffer.from(text, "base64").toString("base64") === text);
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw new SignatureRejection("malformed", "it is no JSON document", { cause });
  }
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
