/**
 * Manifests and indexes, read strictly: one document must not mean two things to two readers.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
 * @module
 */
import { ContentError } from "./content-error.ts";
import type { Descriptor } from "./descriptor.ts";
import { type Digest, digestOf } from "./digest.ts";
import { escapeText } from "./escape-text.ts";
import { type ImageIndex, readImageIndex } from "./image-index.ts";
import { type ImageManifest, readImageManifest } from "./image-manifest.ts";
import { JsonShape } from "./internal/json-shape.ts";
import { parseJsonDocument } from "./json-document.ts";
import { isImageIndexMediaType, isImageManifestMediaType, MEDIA_TYPE } from "./media-type.ts";

/** Which of the two a document is, and its parsed form. */
export type ManifestDocument =
  | { readonly kind: "manifest"; readonly manifest: ImageManifest }
  | { readonly kind: "index"; readonly index: ImageIndex };

/** A manifest with the bytes that its digest is of; written again it would be another one. */
export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly document: ManifestDocument;
}

/** The longest manifest that is accepted, in bytes. */
export const MAX_MANIFEST_BYTES: number = 4 * 1024 * 1024;

const GENERIC_TYPES: ReadonlySet<string> = new Set([
  "",
  "application/json",
  "application/octet-stream",
  "text/plain",
]);
const MANIFEST_KEYS = ["config", "layers", "fslayers", "history"];
const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...MANIFEST_KEYS,
  "annotations",
  "artifacttype",
  "manifests",
  "mediatype",
  "schemaversion",
  "subject",
]);

/**
 * Reads a manifest or an index.
 *
 * @param mediaType - what the transport or a descriptor says it is; parameters are cut. Where that
 *   says nothing (`application/json`, …), the document itself decides.
 * @param digest - the digest that the bytes were verified against, if any; sha256 else.
 * @throws {@link ContentError} `ERR_CONTENT_AMBIGUOUS_MANIFEST` or `ERR_CONTENT_DUPLICATE_KEY` if
 *   another reader could take it for something else; `ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE` for
 *   schema 1 and what is no image; `ERR_CONTENT_TOO_LARGE` over a cap;
 *   `ERR_CONTENT_INVALID_JSON` or `ERR_CONTENT_INVALID_MANIFEST` if it is malformed.
 */
export function parseManifest(
  bytes: Uint8Array,
  mediaType?: string,
  digest: Digest = digestOf(bytes),
): FetchedManifest {
  const json = parseJsonDocument(bytes, { maxBytes: MAX_MANIFEST_BYTES, plainIntegers: true });
  const shape = new JsonShape(json, "manifest", "ERR_CONTENT_INVALID_MANIFEST");
  refuseFoldedKeys(shape);
  if (shape.object["schemaVersion"] === 1) {
    throw new ContentError("ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE", `${digest}: Docker schema 1`, {
      hint: "Push the image again with a current tool; schema 1 has been retired since 2019.",
    });
  }
  const announced = mediaType?.split(";")[0]?.trim() ?? "";
  if (!GENERIC_TYPES.has(announced)) requireManifestType(announced, digest);
  if (shape.object["schemaVersion"] !== 2) shape.fail("is not 2", "schemaVersion");
  const kind = kindOf(shape, digest);
  const type = typeOf(shape, kind, announced, digest);
  return {
    descriptor: { mediaType: type, digest, size: bytes.byteLength },
    bytes,
    document:
      kind === "index"
        ? { kind, index: { ...readImageIndex(shape), mediaType: type } }
        : { kind, manifest: readImageManifest(shape) },
  };
}

function refuseFoldedKeys(shape: JsonShape): void {
  for (const key of Object.keys(shape.object)) {
    // Go's decoder folds case and two non-ASCII letters; ours does not. Either reading must agree.
    const folded = key.toLowerCase().replaceAll("\u017f", "s").replaceAll("\u212a", "k");
    if (!KNOWN_KEYS.has(folded)) continue;
    const exact = { fslayers: "fsLayers", mediatype: "mediaType", artifacttype: "artifactType" };
    const expected = { ...exact, schemaversion: "schemaVersion" }[folded] ?? folded;
    if (key !== expected) {
      throw new ContentError(
        "ERR_CONTENT_AMBIGUOUS_MANIFEST",
        `manifest: key "${escapeText(key, 80)}" is read as "${expected}" by some`,
      );
    }
  }
}

function kindOf(shape: JsonShape, digest: Digest): ManifestDocument["kind"] {
  const index = Object.hasOwn(shape.object, "manifests");
  const ofManifest = ["config", "layers", "fsLayers", "history"].filter((key) =>
    Object.hasOwn(shape.object, key),
  );
  if ((index && ofManifest.length > 0) || ofManifest.includes("fsLayers")) {
    throw new ContentError(
      "ERR_CONTENT_AMBIGUOUS_MANIFEST",
      `${digest}: has ${[...ofManifest, index && "manifests"].filter(Boolean).join(" and ")}`,
    );
  }
  if (!index && ofManifest.length === 0) shape.fail("is neither a manifest nor an index");
  return index ? "index" : "manifest";
}

function typeOf(
  shape: JsonShape,
  kind: ManifestDocument["kind"],
  announced: string,
  digest: Digest,
): string {
  const stated = shape.optionalString("mediaType");
  const said = GENERIC_TYPES.has(announced) ? undefined : announced;
  if (stated !== undefined && said !== undefined && stated !== said) {
    throw new ContentError(
      "ERR_CONTENT_AMBIGUOUS_MANIFEST",
      `${digest}: calls itself ${escapeText(stated)}, announced as ${escapeText(said)}`,
    );
  }
  const type =
    said ?? stated ?? (kind === "index" ? MEDIA_TYPE.imageIndex : MEDIA_TYPE.imageManifest);
  requireManifestType(type, digest);
  if (isImageIndexMediaType(type) !== (kind === "index")) {
    throw new ContentError(
      "ERR_CONTENT_AMBIGUOUS_MANIFEST",
      `${digest}: has the fields of ${kind === "index" ? "an index" : "a manifest"}, but is announced as ${type}`,
    );
  }
  return type;
}

function requireManifestType(type: string, digest: Digest): void {
  if (isImageIndexMediaType(type) || isImageManifestMediaType(type)) return;
  throw new ContentError(
    "ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE",
    `${digest}: ${escapeText(type)} is no image manifest`,
  );
}
