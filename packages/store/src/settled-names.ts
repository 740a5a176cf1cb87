/**
 * Names and images that others change while they are read. A name that moves from one image to
 * another is there all the time, and so it is in every answer.
 *
 * @module
 */
import type { ImageRecord } from "./image-record.ts";
import { byAge, findImage, listImages } from "./image-records.ts";
import { hasRecord } from "./missing-images.ts";
import { type ImageName, listNames, readNameOf } from "./name-index.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreError } from "./store-error.ts";

/** What {@link listSettled} has read. */
export interface SettledImages {
  /** The latest stored first. */
  readonly images: readonly ImageRecord[];
  /** Of the images that can be read; the newest first. */
  readonly names: readonly ImageName[];
  /** Whether a name is left whose image can not be read, or is not there. */
  readonly hasStrays: boolean;
  readonly damagedImages: readonly StoreError[];
  readonly damagedNames: readonly StoreError[];
}

/** Reads all images and names. A name may lead to an image that was stored since those were read. */
export async function listSettled(context: StoreContext): Promise<SettledImages> {
  const { records, damaged: damagedImages } = await listImages(context);
  const names = await listNames(context);
  const images = new Map(records.map((image) => [image.id, image]));
  const late: ImageRecord[] = [];
  const found: ImageName[] = [];
  let hasStrays = false;
  for (const listed of names.records) {
    const name = images.has(listed.imageId)
      ? listed
      : await unlessDamaged(settledName(context, listed.name));
    if (name === undefined) continue;
    const image =
      images.get(name.imageId) ?? (await unlessDamaged(findImage(context, name.imageId)));
    if (image === undefined) {
      hasStrays = true;
      continue;
    }
    found.push(name);
    if (images.has(image.id)) continue;
    images.set(image.id, image);
    late.push(image);
  }
  return {
    images: late.length === 0 ? records : [...late, ...records].toSorted(byAge),
    names: found.toSorted(byGeneration),
    hasStrays,
    damagedImages,
    damagedNames: names.damaged,
  };
}

/** Names of images that have records, be they damaged; the newest first. */
export async function listNamesOfImages(context: StoreContext): Promise<readonly ImageName[]> {
  const names: ImageName[] = [];
  for (const listed of (await listNames(context)).records) {
    const isHere = hasRecord(context.layout, listed.imageId);
    const name = isHere ? listed : await unlessDamaged(settledName(context, listed.name));
    if (name !== undefined && (isHere || hasRecord(context.layout, name.imageId))) names.push(name);
  }
  return names.toSorted(byGeneration);
}

/**
 * Reads a name until its image has a record, or it says twice that it is of one that has none: who
 * moves a name and then removes the image that had it may be quicker than two looks.
 *
 * @throws {@link StoreError} `ERR_STORE_CORRUPT`
 */
export async function settledName(
  context: StoreContext,
  name: string,
): Promise<ImageName | undefined> {
  let before: ImageName | undefined;
  for (;;) {
    const found = await readNameOf(context, name);
    if (found === undefined || hasRecord(context.layout, found.imageId)) return found;
    if (found.generation === before?.generation) return found;
    before = found;
  }
}

/** What can not be read hides itself, and nothing else. */
async function unlessDamaged<Record>(
  read: Promise<Record | undefined>,
): Promise<Record | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

function byGeneration(one: ImageName, other: ImageName): number {
  return other.generation - one.generation;
}
