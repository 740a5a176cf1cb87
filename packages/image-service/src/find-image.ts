import {
  type Digest,
  hasErrorCode,
  parseDigest,
  parseImageConfig,
  type Platform,
  readContent,
} from "@stowage/content";
import {
  formatReference,
  formatRepository,
  parseReference,
  type Reference,
  withDefaultTag,
  withoutTagIfDigested,
} from "@stowage/reference";
import type { ImageRecord, Store } from "@stowage/store";

import { ImageError } from "./image-error.ts";
import { digestsOf, readNames } from "./image-names.ts";

/** An image, and what of the text led to it. */
export interface FoundImage {
  readonly record: ImageRecord;
  /** The name that was asked for, in full; not there if it was an ID. */
  readonly asked?: Reference;
}

const ID = /^(?:sha256:)?([0-9a-f]{3,64})$/;
const HEX = /^(?:sha256:)?[0-9a-f]{3,}$/i;

/**
 * Finds what `text` means: an ID, an unambiguous beginning of one of at least three digits, or a
 * name. An ID goes before a name, and a digest before a tag.
 *
 * @param platform - which image an index digest means, if the store has several of the index.
 * @throws {@link InvalidReferenceError} for what is neither.
 */
export async function findImage(
  store: Store,
  text: string,
  platform: Platform,
): Promise<FoundImage | undefined> {
  const digits = ID.exec(text)?.[1];
  if (digits !== undefined) {
    const byId = await findByID(store, digits);
    if (byId !== undefined) return { record: byId };
    if (digits.length === 64) return undefined;
  }
  const asked = readAsked(text);
  if (asked === undefined) return undefined;
  const record = await (asked.digest === undefined
    ? findByName(store, formatReference(asked))
    : findByDigest(store, asked, asked.digest, platform));
  return record && { record, asked };
}

/**
 * The ID that `text` is, or is the beginning of, for somebody who is about to remove the image: a
 * record that cannot be read counts too, and doubt is an error.
 *
 * @throws {@link ImageError} `ERR_IMAGE_INVALID_ARGUMENT` for the beginning of one image's ID that
 *   is also the name of another.
 */
export async function findImageID(store: Store, text: string): Promise<Digest | undefined> {
  const digits = ID.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const id =
    digits.length === 64 ? parseDigest(`sha256:${digits}`) : await findPrefix(store, digits);
  if (id === undefined || !(await isKnown(store, id))) return undefined;
  if (digits.length === 64) return id;
  const named = await findNamedID(store, text);
  if (named === undefined || named === id) return id;
  throw new ImageError(
    "ERR_IMAGE_INVALID_ARGUMENT",
    `${text}: is a name, and begins another's ID`,
    {
      hint: `Write library/${text} for the name, or ${id} for the other image.`,
    },
  );
}

/** The ID of the image that exactly this name stands for. */
export async function findNamedID(store: Store, text: string): Promise<Digest | undefined> {
  const name = readName(text);
  return name === undefined ? undefined : await store.images.resolveName(name);
}

/** The name in full; `undefined` for text that may only have been meant as an ID. */
export function readName(text: string): string | undefined {
  const asked = readAsked(text);
  return asked && formatReference(asked);
}

/** Reads a name to be looked up; `undefined` for text that may only have been meant as an ID. */
function readAsked(text: string): Reference | undefined {
  try {
    return withoutTagIfDigested(withDefaultTag(parseReference(text)));
  } catch (error) {
    if (HEX.test(text)) return undefined;
    throw error;
  }
}

async function isKnown(store: Store, id: Digest): Promise<boolean> {
  try {
    return (await store.images.find(id)) !== undefined;
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_CORRUPT")) return true;
    throw error;
  }
}

/** The image that exactly this name stands for. */
async function findByName(store: Store, name: string): Promise<ImageRecord | undefined> {
  const id = await store.images.resolveName(name);
  return id && (await store.images.find(id));
}

async function findByID(store: Store, digits: string): Promise<ImageRecord | undefined> {
  if (digits.length === 64) return await store.images.find(parseDigest(`sha256:${digits}`));
  const id = await findPrefix(store, digits);
  return id && (await store.images.find(id));
}

/** An ambiguous beginning is no ID, so that the text may still be a name. */
async function findPrefix(store: Store, digits: string): Promise<Digest | undefined> {
  try {
    return await store.images.findByPrefix(digits);
  } catch (error) {
    if (hasErrorCode(error, "ERR_STORE_AMBIGUOUS_ID")) return undefined;
    throw error;
  }
}

/**
 * The image of a digest, which must have a name in that repository. A digest that leads to another
 * platform's image here, because its name was moved there, leads nowhere.
 */
async function findByDigest(
  store: Store,
  asked: Reference,
  digest: Digest,
  platform: Platform,
): Promise<ImageRecord | undefined> {
  const repository = formatRepository(asked.repository);
  const { images } = await store.images.list();
  const names = await store.images.allNames();
  const holders = images.filter(({ id, manifests }) => {
    if (!manifests.some((way) => digestsOf(way).includes(digest))) return false;
    const own = names.filter(({ imageId }) => imageId === id).map(({ name }) => name);
    const { references } = readNames(own);
    return references.some((name) => formatRepository(name.repository) === repository);
  });
  if (holders.length <= 1) return holders[0];
  const named = await store.images.resolveName(formatReference(asked));
  if (named === undefined) return await firstServing(store, holders, platform);
  return await firstServing(
    store,
    holders.filter(({ id }) => id === named),
    platform,
  );
}

async function firstServing(
  store: Store,
  records: readonly ImageRecord[],
  platform: Platform,
): Promise<ImageRecord | undefined> {
  for (const record of records) {
    if (await isServing(store, record, platform)) return record;
  }
  return undefined;
}

async function isServing(store: Store, record: ImageRecord, wanted: Platform): Promise<boolean> {
  try {
    const { os, architecture } = parseImageConfig(await readContent(store.blobs, record.config));
    return (
      (os || wanted.os) === wanted.os &&
      (architecture || wanted.architecture) === wanted.architecture
    );
  } catch {
    // An image whose config is damaged serves nobody until it is pulled again.
    return false;
  }
}
