/**
 * Names of content: what it is, how long, and the digest of its bytes.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
 * @module
 */
import { type Digest, parseDigest } from "./digest.ts";
import { JsonShape } from "./internal/json-shape.ts";
import type { JsonValue } from "./json-document.ts";
import { MEDIA_TYPE } from "./media-type.ts";
import type { Platform } from "./platform.ts";

/** A disposition of content; fields in the spelling of the specification. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
  /** The content itself in base64; to be believed only after verification. */
  readonly data?: string;
}

/** Names the two bytes `{}`, which stand where an artifact has no config. */
export const EMPTY_DESCRIPTOR: Descriptor = {
  mediaType: MEDIA_TYPE.empty,
  digest: parseDigest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
  size: 2,
};

/**
 * @param path - where the value stands, for the message.
 * @throws {@link ContentError} `ERR_CONTENT_INVALID_MANIFEST` for a field that is missing or of the
 *   wrong sort; `ERR_CONTENT_INVALID_DIGEST` or `ERR_CONTENT_UNSUPPORTED_DIGEST` as `parseDigest`.
 */
export function parseDescriptor(value: JsonValue, path = "descriptor"): Descriptor {
  return readDescriptor(new JsonShape(value, path, "ERR_CONTENT_INVALID_MANIFEST"));
}

export function readDescriptor(shape: JsonShape): Descriptor {
  return {
    mediaType: shape.string("mediaType"),
    digest: shape.digest("digest"),
    size: shape.size("size"),
    ...(shape.has("urls") && { urls: shape.strings("urls") }),
    ...(shape.has("annotations") && { annotations: shape.stringMap("annotations") }),
    ...(shape.has("platform") && { platform: readPlatform(shape.child("platform")) }),
    ...(shape.has("artifactType") && { artifactType: shape.string("artifactType") }),
    ...(shape.has("data") && { data: shape.string("data") }),
  };
}

function readPlatform(shape: JsonShape): Platform {
  return {
    os: shape.optionalString("os") ?? "",
    architecture: shape.optionalString("architecture") ?? "",
    ...(shape.has("variant") && { variant: shape.string("variant") }),
    ...(shape.has("os.version") && { "os.version": shape.string("os.version") }),
    ...(shape.has("os.features") && { "os.features": shape.strings("os.features") }),
  };
}
