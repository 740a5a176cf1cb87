import type { Digest } from "@stowage/content";
import type { CopySource } from "@stowage/registry";

import type { RuntimeOptions } from "../runtime-options.ts";
import type { CopyLocation } from "./copy-location.ts";
import { type FoundPodmanImage, openPodmanSource } from "./podman-source.ts";

/** A place on this machine that is not the store. */
export type LocalLocation = Exclude<CopyLocation, { readonly transport: "docker" | "store" }>;

/** How {@link openLocalSource} opens. */
export interface LocalSourceOptions extends Pick<RuntimeOptions, "env" | "signal"> {
  /** As for podman's store, which has no layers as they were packed. @defaultValue false */
  readonly asStored?: boolean | undefined;
}

/** An image on this machine; what more is known of one in podman's store. */
export interface LocalSource extends CopySource {
  /** The digest of the manifest that podman has, where that of the copy is another. */
  readonly rewrittenFrom?: Digest | undefined;
  readonly found?: FoundPodmanImage | undefined;
}

/** Opens the image of a folder, a layout, an archive or a daemon. */
export async function openLocalSource(
  from: LocalLocation,
  { asStored, env = process.env, signal }: LocalSourceOptions,
): Promise<LocalSource> {
  const { openArchive, openDockerDaemon, openImageFolder, openLayoutFolder } =
    await import("@stowage/registry");
  switch (from.transport) {
    case "dir":
      return openImageFolder(from.path);
    case "oci":
      return openLayoutFolder(from.path, from.name);
    case "docker-archive":
    case "oci-archive":
      return openArchive(from.transport, from.path, from.name);
    case "containers-storage":
      return openPodmanSource(from, { env, signal, asStored });
    case "docker-daemon":
      return openDockerDaemon(from.image, { env, signal });
    default:
      return from satisfies never;
  }
}
