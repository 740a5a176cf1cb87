import { type Digest, hasErrorCode, isDigest } from "@stowage/content";
import {
  formatReference,
  formatRepository,
  parseReference,
  type Reference,
} from "@stowage/reference";
import {
  createMemoryTagStore,
  type ManifestEntry,
  RegistryServerError,
  type TagStore,
} from "@stowage/registry-server";
import type { ImageManifestRecord } from "@stowage/store";

import type { Runtime } from "../runtime.ts";
import { servedHost, servedName } from "./served-name.ts";
import { createTagTurns } from "./tag-turns.ts";

/** What becomes of manifests that are pushed. */
export interface PushedManifests {
  /** Takes an image into the store under a name; resolves to whether it is one that can be. */
  keepImage(entry: ManifestEntry, name: string): Promise<boolean>;
  /** Keeps what was not taken in, and what it names, as long as it is served. */
  hold(entry: ManifestEntry): Promise<void>;
}

interface StoredName {
  readonly reference: Reference;
  readonly imageId: Digest;
  /** None, if the image can not be read. */
  readonly ways: readonly ImageManifestRecord[];
}

/** Where pushes belong, which name no other registry; as podman has it. */
const LOCAL = "localhost/";

/**
 * The names of a store as the tags of a registry. A repository is asked for with the host that it is
 * of (`docker.io/library/busybox`, `localhost_5000/app`), or without where no two hosts have it.
 *
 * What is pushed and is no image lasts as long as this: children of indexes, artifacts, and what
 * refers to an image.
 */
export function createStoreTags(
  { store, images }: Pick<Runtime, "images" | "store">,
  manifests: PushedManifests,
): TagStore {
  const pushed = createMemoryTagStore();
  const inTurn = createTagTurns();
  const namesOf = async (repository: string): Promise<readonly StoredName[]> => {
    // Images and names that go together: a tag that moves is there all the time.
    const { images: records, names } = await store.images.list();
    const ways = new Map(records.map(({ id, manifests }) => [id, manifests]));
    const all = [...names, ...(await store.images.allNames())];
    const found = new Map<string, StoredName>();
    for (const { name, imageId } of all) {
      const reference = readName(name);
      if (reference === undefined || found.has(name)) continue;
      found.set(name, { reference, imageId, ways: ways.get(imageId) ?? [] });
    }
    return ofRepository([...found.values()], repository);
  };
  const stored = async (): Promise<readonly Reference[]> =>
    (await store.images.allNames()).flatMap(({ name }) => readName(name) ?? []);
  const untag = async (names: readonly StoredName[]): Promise<boolean> => {
    let isGone = false;
    for (const { reference, imageId } of names) {
      try {
        await images.untagImage(formatReference(reference), { onlyOf: imageId });
        isGone = true;
      } catch (error) {
        // Others have taken it away, or given it to another image, which nobody asked to remove.
        if (!hasErrorCode(error, "ERR_IMAGE_NOT_FOUND")) throw error;
      }
    }
    return isGone;
  };
  const untagTag = async (repository: string, tag: string): Promise<boolean> => {
    const tagged = (await namesOf(repository)).filter(({ reference }) => reference.tag === tag);
    return tagged.length > 0 && ((await untag(tagged)) || (await untagTag(repository, tag)));
  };
  const removeTag = async (repository: string, tag: string): Promise<boolean> => {
    const wasPushed = await pushed.remove(local(repository), tag);
    return (await untagTag(repository, tag)) || wasPushed;
  };
  return {
    async resolve(repository, target) {
      const names = await namesOf(repository);
      const tagged = names.find(({ reference }) => reference.tag === target);
      if (tagged !== undefined) return rootOf(tagged);
      const own = await pushed.resolve(local(repository), target);
      return own ?? names.flatMap(entriesOf).find(({ digest }) => digest === target);
    },
    async put(repository, entry, tag) {
      const name = local(repository);
      refuseForeign(name, await stored());
      if (tag === undefined) {
        await manifests.hold(entry);
        await pushed.put(name, entry);
        return;
      }
      // A tag is either the store's or ours, which two that put it at once would not see to.
      await inTurn(`${name}:${tag}`, async () => {
        const isKept = await manifests.keepImage(entry, `${LOCAL}${name}:${tag}`);
        if (!isKept) await manifests.hold(entry);
        if (isKept) await pushed.remove(name, tag);
        else await untagTag(repository, tag);
        await pushed.put(name, entry, isKept ? undefined : tag);
      });
    },
    async remove(repository, target) {
      const name = local(repository);
      if (!isDigest(target)) {
        return await inTurn(`${name}:${target}`, () => removeTag(repository, target));
      }
      const wasPushed = await pushed.remove(name, target);
      const named = (await namesOf(repository)).filter((one) =>
        entriesOf(one).some(({ digest }) => digest === target),
      );
      return (await untag(named)) || wasPushed;
    },
    async repositories() {
      const names = (await stored()).map(({ repository }) => servedName(repository));
      return [...new Set([...names, ...(await pushed.repositories())])].toSorted();
    },
    async tags(repository) {
      const own = await pushed.tags(local(repository));
      const names = await namesOf(repository);
      if (names.length === 0) return own;
      const tags = names.flatMap(({ reference }) => reference.tag ?? []);
      return [...new Set([...tags, ...(own ?? [])])].toSorted();
    },
    async manifests(repository) {
      const own = (await namesOf(repository)).flatMap(entriesOf);
      const all = [...(await pushed.manifests(local(repository))), ...own];
      return [...new Map(all.map((entry) => [entry.digest, entry])).values()];
    },
  };
}

function local(repository: string): string {
  return repository.startsWith(LOCAL) ? repository.slice(LOCAL.length) : repository;
}

/** Whoever may push here must not put words into another registry's mouth. */
function refuseForeign(repository: string, stored: readonly Reference[]): void {
  const [first = "", ...path] = repository.split("/");
  if (path.length === 0) return;
  // Without a dot it may be anything, unless images of such a host are here.
  const host = first.includes(".")
    ? first
    : stored.map((name) => name.repository.host).find((name) => servedHost(name) === first);
  if (host === undefined) return;
  const what = `images of ${host} are pulled, not pushed here; push without it in front`;
  throw new RegistryServerError("ERR_SERVER_REFUSED", what);
}

function ofRepository(names: readonly StoredName[], repository: string): readonly StoredName[] {
  for (const full of [repository, `${LOCAL}${repository}`]) {
    const found = names.filter(({ reference }) => servedName(reference.repository) === full);
    if (found.length > 0) return found;
  }
  const found = names.filter(({ reference }) => reference.repository.path === repository);
  const hosts = new Set(found.map(({ reference }) => reference.repository.host));
  return hosts.size === 1 ? found : [];
}

/** What a pull by tag was answered with, so that it is what a pull from here is answered with. */
function rootOf({ reference, ways }: StoredName): ManifestEntry | undefined {
  const repository = formatRepository(reference.repository);
  const way = ways.find((one) => one.repository === repository) ?? ways[0];
  const found = way?.index ?? way?.manifest;
  return found && entryOf(found);
}

function entriesOf({ ways }: StoredName): readonly ManifestEntry[] {
  return ways.flatMap(({ manifest, index }) =>
    (index ? [manifest, index] : [manifest]).map(entryOf),
  );
}

function entryOf({ digest, mediaType, size }: ManifestEntry & { digest: Digest }): ManifestEntry {
  return { digest, mediaType, size };
}

function readName(name: string): Reference | undefined {
  try {
    return parseReference(name);
  } catch {
    // What has no name that can be asked for is not served.
    return undefined;
  }
}
