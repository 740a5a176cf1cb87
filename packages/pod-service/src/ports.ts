/**
 * What this package needs from others; whoever composes the packages satisfies it.
 *
 * @module
 */
import type { Digest, ImageConfig } from "@stowage/content";
import type { CountedMount, LayerID, Store } from "@stowage/store";

/** Options of everything here that waits. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** An image that is here, as far as a container needs to know it. */
export interface LocalImage {
  readonly id: Digest;
  /** The full name that `nameOrId` stood for, or the ID where it has none. */
  readonly name: string;
  /** Absent for an image without layers. */
  readonly topLayer?: LayerID;
  readonly config: ImageConfig;
  /** `repository@digest` of its manifest, if it came from a registry. */
  readonly canonical?: string;
}

/** On whose behalf an image is used. */
export interface UseImageOptions extends WaitOptions {
  /** The pod's. */
  readonly namespace?: string | undefined;
}

/** How containers come to their images. */
export interface ImageLookup {
  /** The image that is here under this name, ID or ID prefix. Never pulls; throws if it is not here. */
  requireImage(nameOrId: string, options?: WaitOptions): Promise<LocalImage>;
  /** Like `requireImage`, but pulls what is missing. Asked only for the image of a sandbox. */
  ensureImage(name: string, options?: UseImageOptions): Promise<LocalImage>;
  /** Checks `image` against policy, as it is stored. Throws if it may not be used. */
  requireAllowed(image: LocalImage, options?: UseImageOptions): Promise<void>;
}

/** The parts of a store that pods are kept in. */
export interface PodStore {
  readonly containers: Pick<
    Store["containers"],
    "create" | "ensureRunDir" | "find" | "list" | "remove" | "runDir" | "setMetadata" | "workDir"
  >;
  readonly mounts: PodMounts;
}

/** How containers are mounted. */
export interface PodMounts extends Pick<Store["mounts"], "mountPointOf" | "unmountContainer"> {
  mountContainer(
    id: string,
    options: WaitOptions & { readonly mountLabel?: string | undefined },
  ): Promise<CountedMount>;
  /** Whether `mountLabel` is heeded. A store that would ignore it is never given one. */
  readonly supportsLabels?: boolean;
}
