/**
 * The images of an export, while others store, name and remove images.
 *
 * @module
 */
import type { ImageID, ImageRecord } from "../image-record.ts";
import { findImage, noImage } from "../image-records.ts";
import { createLease, type ListedLease, releaseLease } from "../lease.ts";
import type { ImageName } from "../name-index.ts";
import { listSettled } from "../settled-names.ts";
import type { StoreContext } from "../store-context.ts";

/** Images that nothing can take any more, and the names that they have. */
export interface LeasedImages {
  readonly lease: ListedLease["id"];
  readonly records: readonly ImageRecord[];
  readonly names: readonly ImageName[];
}

/**
 * Chooses images and leases them. Others may remove one before it is leased, or move a name to one
 * that is not: it is looked again under the lease, and what is of all images has all names as well.
 *
 * @param ids - All images unless told.
 * @param purpose - The lease outlives this process, and says this for it.
 * @throws {@link StoreError} `ERR_STORE_IMAGE_NOT_FOUND` for one of `ids`.
 */
export async function leaseChosen(
  context: StoreContext,
  ids: readonly ImageID[] | undefined,
  purpose: string,
  signal: AbortSignal | undefined,
): Promise<LeasedImages> {
  for (;;) {
    const chosen = await chooseImages(context, ids);
    const lease = await leaseImages(context, chosen, purpose, signal);
    try {
      const { images, names } = await listSettled(context);
      const here = new Set(images.map(({ id }) => id));
      const gone = chosen.find(({ id }) => !here.has(id));
      if (ids !== undefined && gone !== undefined) throw noImage(gone.id);
      const records = chosen.filter(({ id }) => here.has(id));
      const leased = new Set(records.map(({ id }) => id));
      if (ids !== undefined || names.every(({ imageId }) => leased.has(imageId))) {
        return { lease, records, names };
      }
    } catch (error) {
      await releaseLease(context, lease);
      throw error;
    }
    await releaseLease(context, lease);
  }
}

async function chooseImages(
  context: StoreContext,
  ids: readonly ImageID[] | undefined,
): Promise<readonly ImageRecord[]> {
  if (ids === undefined) return (await listSettled(context)).images;
  const chosen = new Map<ImageID, ImageRecord>();
  for (const id of ids) {
    const record = await findImage(context, id);
    if (record === undefined) throw noImage(id);
    chosen.set(id, record);
  }
  return [...chosen.values()];
}

async function leaseImages(
  context: StoreContext,
  images: readonly ImageRecord[],
  purpose: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const documents = images.flatMap(({ config, manifests }) => [
    config.digest,
    ...manifests.flatMap(({ manifest, index }) => [
      manifest.digest,
      ...(index === undefined ? [] : [index.digest]),
    ]),
  ]);
  await using lease = await createLease(
    context,
    {
      purpose,
      signal,
      blobs: [...new Set(documents)],
      layers: [...new Set(images.flatMap(({ layers }) => layers))],
    },
    async () => {},
  );
  return lease.id;
}
