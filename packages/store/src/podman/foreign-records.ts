/**
 * The records of a store that containers/storage writes: what is needed of them, and all that is
 * needed checked. Fields that are not known are of no concern.
 *
 * @module
 */
import { type Digest, encodedOf, escapeText, isDigest } from "@stowage/content";

/** An entry of `images.json`. */
export interface ForeignImageRecord {
  readonly id: string;
  readonly names: readonly string[];
  readonly digests: readonly Digest[];
  /** The topmost; an image may have none. */
  readonly layer: string | undefined;
  /** Where the signatures of a manifest are, and how long each is. */
  signaturesOf(manifest: Digest): SignaturesPlace;
}

/** Signatures that stand one behind the other in one item. */
export interface SignaturesPlace {
  readonly key: string;
  readonly sizes: readonly number[];
}

/** An entry of `layers.json`. */
export interface ForeignLayerRecord {
  readonly id: string;
  readonly parent: string | undefined;
  readonly diffID: Digest | undefined;
  readonly size: number | undefined;
  readonly isIncomplete: boolean;
}

const ID = /^[0-9a-f]{64}$/;
const MANIFEST_ITEM = "manifest-";
/** A policy does not look at more. */
const MAX_SIGNATURES = 128;

type Fields = Readonly<Record<string, unknown>>;

/** @throws TypeError */
export function parseForeignImage(value: unknown): ForeignImageRecord {
  const fields = objectOf(value);
  const own = fields["digest"];
  const kept = textsOf(fields, "big-data-names")
    .filter((name) => name.startsWith(MANIFEST_ITEM))
    .map((name) => name.slice(MANIFEST_ITEM.length));
  const digests = [own, ...kept].filter((text) => typeof text === "string" && isDigest(text));
  const metadata = readMetadata(fields["metadata"]);
  return {
    id: idOf(fields, "id"),
    names: textsOf(fields, "names"),
    digests: [...new Set(digests)],
    layer: has(fields, "layer") ? idOf(fields, "layer") : undefined,
    signaturesOf: (manifest) => findSignatures(metadata, manifest, own),
  };
}

/** @throws TypeError */
export function parseForeignLayer(value: unknown): ForeignLayerRecord {
  const fields = objectOf(value);
  const { "diff-digest": diffID, "diff-size": size, flags } = fields;
  if (has(fields, "diff-digest") && !(typeof diffID === "string" && isDigest(diffID))) {
    throw new TypeError("diff-digest is no digest");
  }
  if (size !== undefined && !(Number.isSafeInteger(size) && typeof size === "number")) {
    throw new TypeError("diff-size is no number of bytes");
  }
  return {
    id: idOf(fields, "id"),
    parent: has(fields, "parent") ? idOf(fields, "parent") : undefined,
    diffID: has(fields, "diff-digest") ? (diffID as Digest) : undefined,
    size: typeof size === "number" && size >= 0 ? size : undefined,
    isIncomplete: isObject(flags) && flags["incomplete"] === true,
  };
}

/** What the one who stored the image noted about it, a document within the document. */
function readMetadata(text: unknown): Fields {
  if (typeof text !== "string" || text === "") return {};
  try {
    return objectOf(JSON.parse(text));
  } catch (cause) {
    throw new TypeError("metadata is no document", { cause });
  }
}

function findSignatures(metadata: Fields, manifest: Digest, own: unknown): SignaturesPlace {
  const bySize = metadata["signatures-sizes"];
  const key = `signature-${encodedOf(manifest)}`;
  if (isObject(bySize) && bySize[manifest] !== undefined) {
    return { key, sizes: sizesOf(bySize[manifest]) };
  }
  // As it was noted before there could be several manifests.
  if (manifest !== own) return { key, sizes: [] };
  return { key: "signatures", sizes: sizesOf(metadata["signature-sizes"]) };
}

function sizesOf(value: unknown): readonly number[] {
  if (value === undefined || value === null) return [];
  const isList = Array.isArray(value) && value.length <= MAX_SIGNATURES;
  const list = isList ? (value as readonly unknown[]) : undefined;
  if (list?.every((size) => Number.isSafeInteger(size) && (size as number) >= 0) === true) {
    return list as readonly number[];
  }
  throw new TypeError("the sizes of its signatures are none");
}

function idOf(fields: Fields, key: string): string {
  const id = fields[key];
  // It becomes a part of paths.
  if (typeof id === "string" && ID.test(id)) return id;
  throw new TypeError(`${key} is no ID: ${escapeText(String(id), 80)}`);
}

function textsOf(fields: Fields, key: string): readonly string[] {
  const value = fields[key];
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? (value as readonly unknown[]) : undefined;
  if (list?.every((text) => typeof text === "string") === true) return list;
  throw new TypeError(`${key} is no list of texts`);
}

function has(fields: Fields, key: string): boolean {
  return fields[key] !== undefined && fields[key] !== "";
}

function objectOf(value: unknown): Fields {
  if (isObject(value)) return value;
  throw new TypeError("it is no object");
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
