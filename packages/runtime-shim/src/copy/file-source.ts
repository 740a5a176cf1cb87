import type { CopySource } from "@stowage/registry";

import type { CopyLocation } from "./copy-location.ts";

/** A place in the file system. */
export type FileLocation = Exclude<CopyLocation, { readonly transport: "docker" | "store" }>;

/** Opens the image of a folder, a layout or an archive. */
export async function openFileSource(from: FileLocation): Promise<CopySource> {
  const { openArchive, openImageFolder, openLayoutFolder } = await import("@stowage/registry");
  switch (from.transport) {
    case "dir":
      return openImageFolder(from.path);
    case "oci":
      return openLayoutFolder(from.path, from.name);
    case "docker-archive":
    case "oci-archive":
      return openArchive(from.transport, from.path, from.name);
    default:
      return from satisfies never;
  }
}
