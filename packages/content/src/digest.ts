/**
 * Names of exact bytes.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
 * @module
 */
import type * as crypto from "node:crypto";

import { sha256, sha512 } from "@noble/hashes/sha2.js";

import { ContentError } from "./content-error.ts";
import { escapeText } from "./escape-text.ts";

declare const digestBrand: unique symbol;

/** The registered algorithms that are accepted. */
export type DigestAlgorithm = "sha256" | "sha512";

/** A checked digest: algorithm, colon, lower-case hex of the right length. */
export type Digest = `${DigestAlgorithm}:${string}` & { readonly [digestBrand]: true };

/** Hashes bytes as they pass. `digest()` ends it: neither method may be called afterwards. */
export interface Digester {
  update(bytes: Uint8Array): this;
  digest(): Digest;
}

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };
const SHAPE = /^[A-Za-z0-9]+(?:[+._-][A-Za-z0-9]+)*:[A-Za-z0-9=_-]+$/;
const HEX = /^[0-9a-f]+$/;
const MAX_LENGTH = 512;

/**
 * @throws {@link ContentError} `ERR_CONTENT_UNSUPPORTED_DIGEST` if the algorithm is none of
 *   {@link DigestAlgorithm}; `ERR_CONTENT_INVALID_DIGEST` if the text is no digest at all.
 */
export function parseDigest(text: string): Digest {
  if (text.length > MAX_LENGTH || !SHAPE.test(text)) {
    throw new ContentError(
      "ERR_CONTENT_INVALID_DIGEST",
      `"${escapeText(text, 160)}" is not a digest`,
      { hint: "A digest is sha256: followed by 64 lower-case hex digits." },
    );
  }
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, colon);
  if (algorithm !== "sha256" && algorithm !== "sha512") {
    throw new ContentError(
      "ERR_CONTENT_UNSUPPORTED_DIGEST",
      `"${escapeText(text, 160)}": digest algorithm ${escapeText(algorithm, 40)} is not supported`,
      { hint: "Use sha256 or sha512." },
    );
  }
  const encoded = text.slice(colon + 1);
  if (encoded.length !== HEX_LENGTH[algorithm] || !HEX.test(encoded)) {
    throw new ContentError(
      "ERR_CONTENT_INVALID_DIGEST",
      `"${escapeText(text, 160)}" is not a digest: ${algorithm} takes ${HEX_LENGTH[algorithm]} lower-case hex digits`,
    );
  }
  return text as Digest;
}

/** Whether {@link parseDigest} would accept `text`. */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, colon);
  if (algorithm !== "sha256" && algorithm !== "sha512") return false;
  const encoded = text.slice(colon + 1);
  return encoded.length === HEX_LENGTH[algorithm] && HEX.test(encoded);
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

/** The hex digits behind the colon. */
export function encodedOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The digest of bytes that are in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  const hex = platformCrypto()?.hash(algorithm, bytes, "hex");
  if (hex === undefined) return createDigester(algorithm).update(bytes).digest();
  return `${algorithm}:${hex}` as Digest;
}

export function createDigester(algorithm: DigestAlgorithm): Digester {
  const hash = platformCrypto()?.createHash(algorithm);
  if (hash === undefined) return createPortableDigester(algorithm);
  const digester: Digester = {
    update(bytes) {
      hash.update(bytes);
      return digester;
    },
    digest: () => `${algorithm}:${hash.digest("hex")}` as Digest,
  };
  return digester;
}

/** The platform's own hash is about five times as fast; browsers and edge workers lack it. */
function platformCrypto(): Pick<typeof crypto, "createHash" | "hash"> | undefined {
  return globalThis.process?.getBuiltinModule?.("node:crypto");
}

function createPortableDigester(algorithm: DigestAlgorithm): Digester {
  const hash = algorithm === "sha256" ? sha256.create() : sha512.create();
  const digester: Digester = {
    update(bytes) {
      hash.update(bytes);
      return digester;
    },
    digest: () => `${algorithm}:${toHex(hash.digest())}` as Digest,
  };
  return digester;
}

function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}
