import { type Digest, encodedOf, hasErrorCode } from "@stowage/content";
import { formatRepository } from "@stowage/reference";
import type { CollectReport, ImageInUse, ImageList, ImageName, ImageRecord } from "@stowage/store";

import { readNames } from "./image-names.ts";
import type { StatusContext } from "./image-status.ts";

/**
 * Which images go. Each rule that is given takes what it takes; without any, images go that have lost
 * all their names. What is pinned, mounted or used by a container stays whatever the rules say.
 */
export interface PruneOptions {
  readonly signal?: AbortSignal | undefined;
  /** Removes nothing, and tells what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined;
  /** Images that nobody has pulled, mounted or run for so many milliseconds. */
  readonly unusedForMs?: number | undefined;
  /** Images that were stored so many milliseconds ago, or earlier. */
  readonly olderThanMs?: number | undefined;
  /** Tags but the newest so many of each repository, and images with their last name. */
  readonly keepTags?: number | undefined;
  /**
   * The least recently used images, until blobs and unpacked layers of all that stays come to so many
   * bytes.
   */
  readonly keepBytes?: number | undefined;
}

/** An image or a name, and whether it stays. */
export interface PrunedItem {
  readonly kind: "image" | "name";
  /** An image's ID, or a name. */
  readonly id: string;
  readonly names: readonly string[];
  readonly action: "keep" | "remove";
  readonly reason: string;
}

/** What came of {@link pruneImages}. */
export interface PruneReport {
  readonly dryRun: boolean;
  readonly items: readonly PrunedItem[];
  /** What was collected after that. In a dry run the content of the images is still theirs. */
  readonly garbage: CollectReport;
}

interface Candidate {
  readonly record: ImageRecord;
  /** Newest first; what the rules take is taken from it. */
  readonly names: string[];
  readonly lastUse: number;
  readonly shield: string | undefined;
  verdict?: string;
  /** Whether the verdict is no more once somebody has used it. */
  isByUse?: boolean;
}

/** Removes images by rule, and then what nothing needs any more. */
export async function pruneImages(
  context: StatusContext,
  options: PruneOptions = {},
): Promise<PruneReport> {
  const { signal, dryRun = false } = options;
  const list = await context.store.images.list();
  const candidates = await findCandidates(context, list);
  const newest = list.names.map(({ name }) => name);
  const untagged = judgeTags(context, candidates, newest, options.keepTags);
  judgeAges(candidates, options);
  await judgeBytes(context, candidates, options.keepBytes);
  const items: PrunedItem[] = [];
  signal?.throwIfAborted();
  const known = new Map(list.names.map((name) => [name.name, name]));
  const removed = dryRun ? untagged.keys() : await removeTags(context, untagged, known, signal);
  for (const name of removed) {
    const reason = untagged.get(name) ?? "";
    items.push({ kind: "name", id: name, names: [name], action: "remove", reason });
  }
  signal?.throwIfAborted();
  const stays = dryRun ? NONE : await removeCandidates(context, candidates, known, signal);
  for (const candidate of candidates) items.push(tellItem(candidate, stays));
  return { dryRun, items, garbage: await context.store.collectGarbage({ dryRun, signal }) };
}

async function findCandidates(
  { store, isPinned }: StatusContext,
  { images, names: allNames }: ImageList,
): Promise<readonly Candidate[]> {
  const names = Map.groupBy(allNames, ({ imageId }) => imageId);
  const { containers } = await store.containers.list();
  const mounts = new Set((await store.mounts.list()).map(({ id }) => id));
  return images.map((record): Candidate => {
    const own = (names.get(record.id) ?? []).map(({ name }) => name);
    const user = containers.find(({ imageId }) => imageId === record.id);
    const pins = own.filter((name) => isPinned([name]));
    return {
      record,
      names: own,
      lastUse: store.images.lastUse(record),
      shield:
        (pins.length > 0 ? `it is pinned, as ${pins.join(", ")}` : undefined) ??
        (user && `container ${user.names[0] ?? user.id} uses it`) ??
        (mounts.has(encodedOf(record.id)) ? "it is mounted" : undefined),
    };
  });
}

/** The tags to take away, each with the reason. Whatever keeps an image keeps its last name. */
function judgeTags(
  { isPinned }: StatusContext,
  candidates: readonly Candidate[],
  newest: readonly string[],
  keepTags: number | undefined,
): ReadonlyMap<string, string> {
  const untagged = new Map<string, string>();
  if (keepTags === undefined) return untagged;
  const byRepository = new Map<string, string[]>();
  const owners = new Map(
    candidates.flatMap((image) => image.names.map((name) => [name, image] as const)),
  );
  for (const name of newest) {
    const [reference] = readNames([name]).references;
    if (reference === undefined || reference.digest !== undefined) continue;
    const repository = formatRepository(reference.repository);
    const tags = byRepository.get(repository) ?? [];
    byRepository.set(repository, [...tags, name]);
  }
  for (const [repository, tags] of byRepository) {
    for (const name of tags.slice(keepTags)) {
      const image = owners.get(name);
      const isLast = image?.names.length === 1;
      if (image === undefined || isPinned([name]) || (isLast && image.shield !== undefined))
        continue;
      const reason = `${repository} has ${keepTags} newer ${keepTags === 1 ? "tag" : "tags"}`;
      if (isLast) image.verdict = reason;
      else {
        image.names.splice(image.names.indexOf(name), 1);
        untagged.set(name, reason);
      }
    }
  }
  return untagged;
}

function judgeAges(
  candidates: readonly Candidate[],
  { unusedForMs, olderThanMs, keepTags, keepBytes }: PruneOptions,
): void {
  const now = Date.now();
  const rules = [unusedForMs, olderThanMs, keepTags, keepBytes];
  const isByName = rules.every((rule) => rule === undefined);
  for (const image of candidates) {
    if (image.shield !== undefined || image.verdict !== undefined) continue;
    const unused = now - image.lastUse;
    const age = now - Date.parse(image.record.created);
    if (unusedForMs !== undefined && unused >= unusedForMs) {
      image.verdict = `it was last used ${formatAge(unused)} ago`;
      image.isByUse = true;
    } else if (olderThanMs !== undefined && age >= olderThanMs) {
      image.verdict = `it was stored ${formatAge(age)} ago`;
    } else if (isByName && image.names.length === 0) {
      image.verdict = "it has no name";
    }
  }
}

async function judgeBytes(
  { store }: StatusContext,
  candidates: readonly Candidate[],
  keepBytes: number | undefined,
): Promise<void> {
  if (keepBytes === undefined) return;
  const sizes = new Map<string, number>();
  for await (const { id, blob, diffSize } of store.layers.walk()) {
    sizes.set(id, blob.size + diffSize);
  }
  const bytesOf = (images: readonly Candidate[]): number => {
    const parts = new Map<string, number>();
    for (const { record } of images) {
      parts.set(record.id, record.config.size);
      for (const { manifest, index, signatures } of record.manifests) {
        parts.set(manifest.digest, manifest.size);
        if (index !== undefined) parts.set(index.digest, index.size);
        if (signatures !== undefined) parts.set(signatures.digest, signatures.size);
      }
      for (const id of record.layers) parts.set(id, sizes.get(id) ?? 0);
    }
    return [...parts.values()].reduce((total, size) => total + size, 0);
  };
  const staying = candidates.filter(({ verdict }) => verdict === undefined);
  const leastUsed = staying.toSorted((one, other) => one.lastUse - other.lastUse);
  for (const image of leastUsed) {
    if (bytesOf(staying) <= keepBytes) return;
    if (image.shield !== undefined) continue;
    image.verdict = `all images take more than ${keepBytes} bytes, and it was used least recently`;
    image.isByUse = true;
    staying.splice(staying.indexOf(image), 1);
  }
}

type KnownNames = ReadonlyMap<string, ImageName>;

const NONE: ReadonlyMap<Digest, Error> = new Map();

/** @param known - All names when the tags were judged. */
async function removeTags(
  { store }: StatusContext,
  tags: ReadonlyMap<string, string>,
  known: KnownNames,
  signal: AbortSignal | undefined,
): Promise<Iterable<string>> {
  const onlyIf = (name: ImageName): boolean => isSame(name, known);
  return await store.images.removeNames([...tags.keys()], { signal, onlyIf });
}

/**
 * @param known - All names when the images were judged.
 * @returns Those that stay, since somebody has begun to use them, or has named or pinned them.
 */
async function removeCandidates(
  { store, isPinned }: StatusContext,
  candidates: readonly Candidate[],
  known: KnownNames,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<Digest, Error>> {
  const going = candidates.filter(({ verdict }) => verdict !== undefined);
  const judged = new Map(going.map((image) => [image.record.id, image]));
  const onlyIf = ({ id, names, lastUse }: ImageInUse): boolean => {
    const image = judged.get(id);
    const isUsed = image?.isByUse === true && (lastUse ?? 0) > image.lastUse;
    return names.every((name) => isSame(name, known) && !isPinned([name.name])) && !isUsed;
  };
  const stays = new Map(await store.images.removeAll([...judged.keys()], { signal, onlyIf }));
  // Somebody else removed it: that is what was wanted.
  for (const [id, error] of stays) {
    if (hasErrorCode(error, "ERR_STORE_IMAGE_NOT_FOUND")) stays.delete(id);
  }
  return stays;
}

function tellItem(
  { record: { id }, names, verdict, shield, lastUse }: Candidate,
  stays: ReadonlyMap<Digest, Error>,
): PrunedItem {
  const item = { kind: "image", id, names } as const;
  const used = `no rule takes it; it was last used ${formatAge(Date.now() - lastUse)} ago`;
  if (verdict === undefined) return { ...item, action: "keep", reason: shield ?? used };
  const kept = stays.get(id);
  if (kept !== undefined) return { ...item, action: "keep", reason: kept.message };
  return { ...item, action: "remove", reason: verdict };
}

/** Whether a name is what it was: of the same image, and not set again. */
function isSame({ name, imageId, generation }: ImageName, known: KnownNames): boolean {
  const before = known.get(name);
  return before?.imageId === imageId && before.generation === generation;
}

function formatAge(ms: number): string {
  const units = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1000],
  ] as const;
  const [name, size] = units.find(([, unit]) => ms >= unit) ?? ["second", 1000];
  const count = Math.max(0, Math.floor(ms / size));
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
