/**
 * The JSON form of a bundle of version 0.3, with nothing in it that a verifier would pass over.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto
 * @see https://protobuf.dev/programming-guides/json/
 * @module
 */
import { escapeText, type JsonValue } from "@stowage/content";

import { SignatureRejection } from "../signature/signature-rejection.ts";

type Shape =
  | "bytes"
  | "number"
  | "text"
  | { readonly fields: Readonly<Record<string, Shape>> }
  | { readonly list: Shape };

const MEDIA_TYPES = [
  "application/vnd.dev.sigstore.bundle.v0.3+json",
  "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
const LOG_ENTRY: Shape = {
  fields: {
    logIndex: "number",
    logId: { fields: { keyId: "bytes" } },
    kindVersion: { fields: { kind: "text", version: "text" } },
    integratedTime: "number",
    inclusionPromise: { fields: { signedEntryTimestamp: "bytes" } },
    inclusionProof: {
      fields: {
        logIndex: "number",
        rootHash: "bytes",
        treeSize: "number",
        hashes: { list: "bytes" },
        checkpoint: { fields: { envelope: "text" } },
      },
    },
    canonicalizedBody: "bytes",
  },
};
const BUNDLE: Shape = {
  fields: {
    mediaType: "text",
    verificationMaterial: {
      fields: {
        certificate: { fields: { rawBytes: "bytes" } },
        publicKey: { fields: { hint: "text" } },
        tlogEntries: { list: LOG_ENTRY },
        timestampVerificationData: {
          fields: { rfc3161Timestamps: { list: { fields: { signedTimestamp: "bytes" } } } },
        },
      },
    },
    dsseEnvelope: {
      fields: {
        payload: "bytes",
        payloadType: "text",
        signatures: { list: { fields: { sig: "bytes", keyid: "text" } } },
      },
    },
  },
};
const NUMBER = /^(?:0|[1-9]\d{0,18})$/;

/**
 * Whatever is there must be known, and written in the one way that signers write it.
 *
 * @throws SignatureRejection
 */
export function requireBundleShape(json: JsonValue): void {
  const { mediaType, messageSignature } = fieldsOf(json, "the document");
  if (typeof mediaType !== "string" || !MEDIA_TYPES.includes(mediaType)) {
    const found = typeof mediaType === "string" ? escapeText(mediaType, 80) : "of no media type";
    throw new SignatureRejection("malformed", `it is no bundle of version 0.3, but ${found}`, {
      remedy: "Have the image signed by a signer that writes such bundles: cosign 3 does.",
    });
  }
  if (messageSignature !== undefined) {
    throw new SignatureRejection(
      "mismatch",
      "it signs a file, and makes no statement about an image",
      {
        remedy: "Have the image signed with cosign sign, not with cosign sign-blob.",
      },
    );
  }
  requireShape(json, BUNDLE, "");
}

function requireShape(value: JsonValue, shape: Shape, path: string): void {
  if (shape === "text") {
    if (typeof value !== "string") refuse(path, "is no text");
  } else if (shape === "number") {
    if (typeof value !== "string" || !NUMBER.test(value)) refuse(path, "is no number in a text");
  } else if (shape === "bytes") {
    const isBytes = typeof value === "string" && value !== "";
    if (!isBytes || Buffer.from(value, "base64").toString("base64") !== value)
      refuse(path, "is not in base64");
  } else if ("list" in shape) {
    if (!Array.isArray(value)) refuse(path, "is no list");
    for (const [index, item] of (value as readonly JsonValue[]).entries())
      requireShape(item, shape.list, `${path}[${index}]`);
  } else {
    for (const [key, item] of Object.entries(fieldsOf(value, path))) {
      const field = path === "" ? escapeText(key, 80) : `${path}.${escapeText(key, 80)}`;
      const known = Object.hasOwn(shape.fields, key) ? shape.fields[key] : undefined;
      if (known === undefined) refuse(field, "is not known");
      requireShape(item, known, field);
    }
  }
}

function fieldsOf(value: JsonValue, path: string): Readonly<Record<string, JsonValue>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, JsonValue>>;
  return refuse(path, "is no object");
}

function refuse(path: string, problem: string): never {
  throw new SignatureRejection("malformed", `its ${path} ${problem}`);
}
