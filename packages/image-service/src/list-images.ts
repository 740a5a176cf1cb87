import { isDigest } from "@stowage/content";
import type { ImageList, ImageRecord, LayerID, LayerRecord } from "@stowage/store";

import { findImage } from "./find-image.ts";
import { digestsOf } from "./image-names.ts";
import { type ImageStatus, type StatusContext, statusOf } from "./image-status.ts";

/**
 * Tells about all images, the latest stored first, or about those that `filter` means: a name, an
 * ID or the beginning of one, or the digest of a manifest or an index.
 *
 * What is damaged is left out, and reported to `onWarning`; it hides nothing else.
 */
export async function listImages(
  context: StatusContext,
  filter?: string,
): Promise<readonly ImageStatus[]> {
  if (filter !== undefined && filter !== "") return await listMatching(context, filter);
  const statuses: ImageStatus[] = [];
  const layers = new Map<LayerID, LayerRecord>();
  const { images, names: allNames } = await readableImages(context);
  const names = Map.groupBy(allNames, ({ imageId }) => imageId);
  for (const record of images) {
    const own = names.get(record.id) ?? [];
    const status = await tryStatus(
      context,
      record,
      own.map(({ name }) => name),
      layers,
    );
    if (status !== undefined) statuses.push(status);
  }
  return statuses;
}

async function listMatching(
  context: StatusContext,
  filter: string,
): Promise<readonly ImageStatus[]> {
  const found = await findImage(context.store, filter, context.platform);
  if (found !== undefined) return [await statusOf(context, found.record, found.asked)];
  if (!isDigest(filter)) return [];
  const { images } = await readableImages(context);
  const records = images.filter(({ manifests }) =>
    manifests.some((way) => digestsOf(way).includes(filter)),
  );
  return await Promise.all(records.map((record) => statusOf(context, record)));
}

async function readableImages(context: StatusContext): Promise<ImageList> {
  const list = await context.store.images.list();
  for (const cause of list.damaged) context.onWarning({ message: cause.message, cause });
  return list;
}

async function tryStatus(
  context: StatusContext,
  record: ImageRecord,
  names: readonly string[],
  layers: Map<LayerID, LayerRecord>,
): Promise<ImageStatus | undefined> {
  try {
    return await statusOf(context, record, undefined, { names, layers });
  } catch (cause) {
    context.onWarning({ message: `${record.id}: left out of the list`, cause });
    return undefined;
  }
}
