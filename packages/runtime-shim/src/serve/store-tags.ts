import type { Digest } from "@stowage/content";
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

/** What becomes of manifests that are pushed. */
export interface PushedManifests {
  /** Takes an image into the store under a name; resolves to whether it is one that can be. */
  keepImage(entry: ManifestEntry, name: string): Promise<boolean>;
  /** Keeps what was not taken in, and what it names, as long as it is served. */
  hold(entry: ManifestEntry): Promise<void>;
}

interface StoredName {
  readonly reference: Reference;
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
  const namesOf = async (repository: string): Promise<readonly StoredName[]> => {
    const { images: records } = await store.images.list();
    const ways = new Map(records.map(({ id, manifests }) => [id, manifests]));
    const found: StoredName[] = [];
    for (const { name, imageId } of await store.images.allNames()) {
      const reference = readName(name);
      if (reference !== undefined) found.push({ reference, ways: ways.get(imageId) ?? [] });
    }
    return ofRepository(found, repository);
  };
  const stored = async (): Promise<readonly Reference[]> =>
    (await store.images.allNames()).flatMap(({ name }) => readName(name) ?? []);
  const untag = async (repository: string, target: string): Promise<boolean> => {
    const names = (await namesOf(repository)).filter(
      (name) => name.reference.tag === target || entriesOf(name).some((e) => e.digest === target),
    );
    for (const { reference } of names) await images.untagImage(formatReference(reference));
    return names.length > 0;
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
      const isKept =
        tag !== undefined && (await manifests.keepImage(entry, `${LOCAL}${name}:${tag}`));
      if (!isKept) await manifests.hold(entry);
      // A tag is either the store's or ours.
      if (isKept) await pushed.remove(name, tag);
      else if (tag !== undefined) await untag(repository, tag);
      await pushed.put(name, entry, isKept ? undefined : tag);
    },
    async remove(repository, target) {
      const wasPushed = await pushed.remove(local(repository), target);
      return (await untag(repository, target)) || wasPushed;
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
