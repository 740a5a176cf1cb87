import type { Platform } from "@stowage/content";
import type { CopyProgress, SyncedTag, TransferEvent } from "@stowage/registry";
import type { Repository, Tag } from "@stowage/reference";

import { withSharedRate } from "../open-registry-client.ts";
import type { RegistryAccess, RegistrySettings } from "../runtime-options.ts";
import { wireRegistry } from "../wire-registry.ts";

/** How {@link syncRepositories} syncs. */
export interface SyncRepositoriesOptions extends RegistryAccess, RegistrySettings {
  /** Which tags are wanted. @defaultValue all */
  readonly filter?: ((tag: Tag) => boolean) | undefined;
  /** Of each index, only the images for these. One: that image itself. @defaultValue all */
  readonly platforms?: readonly Platform[] | undefined;
  /** What refers to the images, too, and cosign's tags; also of those that are there already. */
  readonly withReferrers?: boolean | undefined;
  /** Ask for every blob, also where the manifest that names it is there. @defaultValue false */
  readonly forceRecursive?: boolean | undefined;
  /** Write nothing, and tell what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined;
  /** Tags at once. @defaultValue 4 */
  readonly concurrency?: number | undefined;
  /** How the registry of the source is reached, where it differs. */
  readonly from?: RegistryAccess | undefined;
  /** How the registry of the destination is reached, where it differs. */
  readonly to?: RegistryAccess | undefined;
  readonly onProgress?: ((event: CopyProgress, tag: Tag) => void) | undefined;
  /** Told which place served or refused, and what is tried again. */
  readonly onTransfer?: ((event: TransferEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Brings the tags of one repository to another, as `syncRepository` of `@stowage/registry` does, with
 * all that is configured for registries; no store is opened.
 */
export async function* syncRepositories(
  source: Repository,
  destination: Repository,
  given: SyncRepositoriesOptions,
): AsyncGenerator<SyncedTag, void, undefined> {
  const options = await withSharedRate(given);
  const { onTransfer } = options;
  const { syncRepository } = await import("@stowage/registry");
  await using origin = await wireRegistry(options, options.from, { onTransfer });
  await using target = await wireRegistry(options, options.to, { onTransfer });
  yield* syncRepository(origin.repository(source), target.repository(destination), options);
}
