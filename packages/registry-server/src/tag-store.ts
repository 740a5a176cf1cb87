import type { Digest } from "@stowage/content";

/** What a repository has of one manifest beside its bytes, which lie in the content store. */
export interface ManifestEntry {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
}

/** Which repositories there are, and what they call their manifests. */
export interface TagStore {
  resolve(repository: string, target: string): Promise<ManifestEntry | undefined>;
  /** Puts a manifest into a repository, under a tag if one is given. */
  put(repository: string, entry: ManifestEntry, tag?: string): Promise<void>;
  /** Removes a tag, or a manifest with all its tags. Resolves to whether there was one. */
  remove(repository: string, target: string): Promise<boolean>;
  /** Every repository that has a manifest, by its whole name, in the order of their characters. */
  repositories(): Promise<readonly string[]>;
  /** The tags in the order of their characters; `undefined` if there is no such repository. */
  tags(repository: string): Promise<readonly string[] | undefined>;
  /** Every manifest of a repository. */
  manifests(repository: string): Promise<readonly ManifestEntry[]>;
}

interface MemoryRepository {
  readonly manifests: Map<string, ManifestEntry>;
  readonly tags: Map<string, Digest>;
}

/** A {@link TagStore} that lives and dies with the process. */
export function createMemoryTagStore(): TagStore {
  const repositories = new Map<string, MemoryRepository>();
  return {
    async resolve(name, target) {
      const repository = repositories.get(name);
      return repository?.manifests.get(repository.tags.get(target) ?? target);
    },
    async put(name, entry, tag) {
      const repository = repositories.get(name) ?? { manifests: new Map(), tags: new Map() };
      repositories.set(name, repository);
      repository.manifests.set(entry.digest, entry);
      if (tag !== undefined) repository.tags.set(tag, entry.digest);
    },
    async remove(name, target) {
      const repository = repositories.get(name);
      if (repository?.tags.delete(target)) return true;
      if (!repository?.manifests.delete(target)) return false;
      for (const [tag, digest] of repository.tags)
        if (digest === target) repository.tags.delete(tag);
      return true;
    },
    async repositories() {
      const filled = [...repositories].filter(([, { manifests }]) => manifests.size > 0);
      return filled.map(([name]) => name).toSorted();
    },
    async tags(name) {
      const repository = repositories.get(name);
      return repository && [...repository.tags.keys()].toSorted();
    },
    async manifests(name) {
      return [...(repositories.get(name)?.manifests.values() ?? [])];
    },
  };
}
