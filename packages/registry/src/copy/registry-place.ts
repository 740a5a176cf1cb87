import { type Digest, hasErrorCode, isDigest } from "@stowage/content";
import { formatRepository, type Tag } from "@stowage/reference";

import type { RepositoryClient } from "../repository-client.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";

/** An image of a registry. The client stays the caller's. */
export function registrySource(repository: RepositoryClient, target: Tag | Digest): CopySource {
  return {
    name: nameOf(repository, target),
    repository: repository.repository,
    fetchRoot: (options) => repository.fetchManifest(target, options),
    fetchManifest: ({ digest }, options) => repository.fetchManifest(digest, options),
    openContent: (descriptor, options) => repository.openContent(descriptor, options),
    referrers: (subject, options) => repository.referrers(subject, options),
    async findTag(tag, options) {
      try {
        return await repository.fetchManifest(tag, options);
      } catch (error) {
        if (hasErrorCode(error, "ERR_REGISTRY_NOT_FOUND")) return undefined;
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/**
 * A place in a registry. What is written is there at once; only the tag comes last. The client
 * stays the caller's.
 *
 * @param tag - none leaves the image to be found by its digest.
 */
export function registryDestination(
  repository: RepositoryClient,
  tag: Tag | undefined,
): CopyDestination {
  return {
    name: nameOf(repository, tag),
    async writeBlob(descriptor, provider, { from, signal, onProgress } = {}) {
      const same = from?.host === repository.repository.host ? [from.path] : [];
      return repository.pushBlob(descriptor, provider, { mountFrom: same, signal, onProgress });
    },
    async writeManifest(manifest, { root = false, tag: other, signal } = {}) {
      const tags = [...(root && tag !== undefined ? [tag] : []), ...(other ? [other] : [])];
      await repository.pushManifest(manifest, { tags, signal });
    },
    async commit() {},
    async [Symbol.asyncDispose]() {},
  };
}

function nameOf({ repository }: RepositoryClient, target: Tag | Digest | undefined): string {
  const name = `docker://${formatRepository(repository)}`;
  if (target === undefined) return name;
  return isDigest(target) ? `${name}@${target}` : `${name}:${target}`;
}
