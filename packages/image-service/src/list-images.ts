import { isDigest } from "@stowage/content";
import type { ImageRecord } from "@stowage/store";

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
  const names = Map.groupBy(await context.store.images.allNames(), ({ imageId }) => imageId);
  for (const record of await readableImages(context)) {
    const own = names.get(record.id) ?? [];
    const status = await tryStatus(
      context,
      record,
      own.map(({ name }) => name),
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
  const records = (await readableImages(context)).filter(({ manifests }) =>
    manifests.some((way) => digestsOf(way).includes(filter)),
  );
  return await Promise.all(records.map((record) => statusOf(context, record)));
}

async function readableImages(context: StatusContext): Promise<readonly ImageRecord[]> {
  const { images, damaged } = await context.store.images.list();
  for (const cause of damaged) context.onWarning({ message: cause.message, cause });
  return images;
}

async function tryStatus(
  context: StatusContext,
  record: ImageRecord,
  names: readonly string[],
): Promise<ImageStatus | undefined> {
  try {
    return await statusOf(context, record, undefined, names);
  } catch (cause) {
    context.onWarning({ message: `${record.id}: left out of the list`, cause });
    return undefined;
  }
}
