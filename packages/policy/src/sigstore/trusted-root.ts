/**
 * The authorities, logs and clocks of a sigstore instance: a `trusted_root.json`, read without a
 * network.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_trustroot.proto
 * @module
 */
import type { toTrustMaterial } from "@sigstore/verify";
import { errorKind, type JsonValue, parseJsonDocument } from "@stowage/content";

import { invalidKey, type KeyMaterial } from "../key/key-material.ts";

/** As the verifier takes it. */
export type TrustedRoot = Parameters<typeof toTrustMaterial>[0];

/** What trusts nobody, for keys alone. */
export const EMPTY_ROOT: TrustedRoot = {
  mediaType: "",
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};

type JsonObject = { readonly [key: string]: JsonValue };
type Log = TrustedRoot["tlogs"][number];
type Authority = TrustedRoot["certificateAuthorities"][number];

const MEDIA_TYPE =
  /^application\/vnd\.dev\.sigstore\.trustedroot(?:\+json;version=0\.1|\.v0\.2\+json)$/;
/** The kinds of keys that logs have; the numbers are those of the specification. */
const KEY_DETAILS: ReadonlyMap<string, number> = new Map([
  ["PKCS1_RSA_PKCS1V5", 1],
  ["PKIX_ECDSA_P256_SHA_256", 5],
  ["PKIX_ED25519", 7],
  ["PKIX_ECDSA_P384_SHA_384", 12],
  ["PKIX_ECDSA_P521_SHA_512", 13],
]);
const SHA2_256 = 1;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` if it is none. */
export function parseTrustedRoot({ name, bytes }: KeyMaterial): TrustedRoot {
  const fail = (problem: string, cause?: unknown): never => {
    throw invalidKey(name, `is no trusted root: ${problem}`, { cause });
  };
  const root = objectOf(readJson(bytes, fail), "the document");
  const mediaType = stringOf(root["mediaType"], "mediaType");
  if (!MEDIA_TYPE.test(mediaType)) fail("it is of another media type");
  const trusted = {
    mediaType,
    tlogs: readLogs(root["tlogs"], "tlogs"),
    certificateAuthorities: listOf(root["certificateAuthorities"], "certificateAuthorities").map(
      readAuthority,
    ),
    ctlogs: readLogs(root["ctlogs"], "ctlogs"),
    timestampAuthorities: listOf(root["timestampAuthorities"], "timestampAuthorities").map(
      readAuthority,
    ),
  };
  return trusted;

  // A log whose key is of a kind that nobody here knows vouches for nothing; the others do still.
  // If all are, whoever asks for a log's word must not be let through without any.
  function readLogs(value: JsonValue | undefined, what: string): Log[] {
    const listed = listOf(value, what);
    const logs = listed.map(readLog).filter((log) => log !== undefined);
    if (listed.length > 0 && logs.length === 0) fail(`${what} have only keys of unknown kinds`);
    return logs;
  }

  function readLog(value: JsonValue): Log | undefined {
    const log = objectOf(value, "a log");
    const key = objectOf(log["publicKey"], "publicKey");
    const keyDetails = KEY_DETAILS.get(stringOf(key["keyDetails"], "keyDetails"));
    if (keyDetails === undefined) return undefined;
    // Numbers stand for the enumerations, whose names the verifier does not publish.
    const read: unknown = {
      baseUrl: stringOf(log["baseUrl"], "baseUrl"),
      hashAlgorithm: SHA2_256,
      publicKey: {
        rawBytes: bytesOf(key["rawBytes"], "rawBytes"),
        keyDetails,
        validFor: readRange(key["validFor"]),
      },
      logId: { keyId: bytesOf(objectOf(log["logId"], "logId")["keyId"], "keyId") },
      checkpointKeyId: isAbsent(log["checkpointKeyId"])
        ? undefined
        : {
            keyId: bytesOf(objectOf(log["checkpointKeyId"], "checkpointKeyId")["keyId"], "keyId"),
          },
      operator: "",
    };
    return read as Log;
  }

  function readAuthority(value: JsonValue): Authority {
    const authority = objectOf(value, "an authority");
    const chain = objectOf(authority["certChain"], "certChain");
    const certificates = listOf(chain["certificates"], "certificates").map((item) => ({
      rawBytes: bytesOf(objectOf(item, "a certificate")["rawBytes"], "rawBytes"),
    }));
    if (certificates.length === 0) fail("an authority has no certificates");
    return {
      subject: undefined,
      uri: "",
      certChain: { certificates },
      validFor: readRange(authority["validFor"]),
      operator: "",
    };
  }

  function readRange(value: JsonValue | undefined): { start: Date; end: Date | undefined } {
    const { start, end } = objectOf(value, "validFor");
    // What has no beginning was always valid, which nobody means.
    return { start: timeOf(start) ?? fail("a range has no start"), end: timeOf(end) };
  }

  function timeOf(value: JsonValue | undefined): Date | undefined {
    if (isAbsent(value)) return undefined;
    const time = new Date(stringOf(value, "a time"));
    return Number.isNaN(time.getTime()) ? fail("a time is none") : time;
  }

  function objectOf(value: JsonValue | undefined, what: string): JsonObject {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
    return fail(`${what} is not an object`);
  }

  function listOf(value: JsonValue | undefined, what: string): readonly JsonValue[] {
    if (isAbsent(value)) return [];
    return Array.isArray(value) ? (value as readonly JsonValue[]) : fail(`${what} is not a list`);
  }

  function stringOf(value: JsonValue | undefined, what: string): string {
    return typeof value === "string" ? value : fail(`${what} is not a string`);
  }

  function bytesOf(value: JsonValue | undefined, what: string): Buffer {
    const text = stringOf(value, what);
    return BASE64.test(text) && text !== ""
      ? Buffer.from(text, "base64")
      : fail(`${what} is not base64`);
  }
}

/** The JSON form of the specification lets null stand for what is not given, and some write it. */
function isAbsent(value: JsonValue | undefined): value is null | undefined {
  return value === undefined || value === null;
}

function readJson(bytes: Uint8Array, fail: (problem: string, cause?: unknown) => never): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    return fail("it is no JSON document", cause);
  }
}
