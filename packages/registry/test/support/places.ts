import {
  archiveDestination,
  type CopyDestination,
  imageFolderDestination,
  layoutFolderDestination,
} from "@stowage/registry";

/** A place on this machine to copy to, by the name of its transport. */
export function placeOf(kind: string, path: string): CopyDestination {
  switch (kind) {
    case "oci":
      return layoutFolderDestination(path);
    case "dir":
      return imageFolderDestination(path);
    case "docker-archive":
    case "oci-archive":
      return archiveDestination(kind, path);
    default:
      throw new Error(`no place of this kind: ${kind}`);
  }
}
