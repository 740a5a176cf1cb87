import { type Digest, isDigest } from "@stowage/content";
import {
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@stowage/reference";

import { RuntimeError } from "../runtime-error.ts";
import {
  formatPodmanLocation,
  parsePodmanLocation,
  type PodmanLocation,
} from "./podman-location.ts";

/** Where an image is, or is to be. */
export type CopyLocation =
  | { readonly transport: "docker"; readonly reference: Reference }
  /** By any name that the image service takes; as a destination, a reference. */
  | { readonly transport: "store"; readonly image: string }
  | PodmanLocation
  /** By name or, as a source, by ID. */
  | { readonly transport: "docker-daemon"; readonly image: Digest | Reference }
  /** One image in a folder, as skopeo has it. */
  | { readonly transport: "dir"; readonly path: string }
  | {
      readonly transport: "docker-archive" | "oci" | "oci-archive";
      readonly path: string;
      /** The name within. */
      readonly name?: string;
    };

const HINT =
  "Write docker://NAME, oci:PATH[:TAG], oci-archive:PATH[:TAG], docker-archive:PATH[:NAME], docker-daemon:NAME, docker-daemon:ID, containers-storage:NAME, dir:PATH or store:NAME.";

/** Whether `text` begins as a location does, and not as a bare name of an image. */
export function isCopyLocation(text: string): boolean {
  return /^(?:docker:\/\/|(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|store):)/.test(
    text,
  );
}

/**
 * Reads a location as people write it. A reference without tag and digest means `latest`.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_INVALID_LOCATION`; `InvalidReferenceError` for the name
 *   of an image that is none.
 */
export function parseCopyLocation(text: string): CopyLocation {
  const [, transport = "", rest = ""] = /^([a-z][a-z-]*):(.*)$/su.exec(text) ?? [];
  switch (transport) {
    case "docker": {
      if (!rest.startsWith("//")) throw invalid(transport, "is followed by //");
      return { transport, reference: withDefaultTag(parseReference(rest.slice(2))) };
    }
    case "store":
      if (rest === "") throw invalid(transport, "names no image");
      return { transport, image: rest };
    case "containers-storage":
      return parsePodmanLocation(rest);
    case "docker-daemon":
      if (rest === "") throw invalid(transport, "names no image");
      if (isDigest(rest)) return { transport, image: rest };
      return { transport, image: withDefaultTag(parseReference(rest)) };
    case "dir":
      if (rest === "") throw invalid(transport, "names no path");
      return { transport, path: rest };
    case "docker-archive":
    case "oci":
    case "oci-archive": {
      const colon = rest.indexOf(":");
      const path = colon < 0 ? rest : rest.slice(0, colon);
      const name = colon < 0 ? "" : rest.slice(colon + 1);
      if (path === "") throw invalid(transport, "names no path");
      return { transport, path, ...(name !== "" && { name }) };
    }
    default:
      throw invalid("", "begins with the name of a transport");
  }
}

/** A location as {@link parseCopyLocation} reads it. */
export function formatCopyLocation(location: CopyLocation): string {
  switch (location.transport) {
    case "docker":
      return `docker://${formatReference(location.reference)}`;
    case "store":
      return `store:${location.image}`;
    case "containers-storage":
      return formatPodmanLocation(location);
    case "docker-daemon": {
      const { image } = location;
      return `docker-daemon:${typeof image === "string" ? image : formatReference(image)}`;
    }
    case "dir":
      return `dir:${location.path}`;
    case "docker-archive":
    case "oci":
    case "oci-archive": {
      const { transport, path, name } = location;
      return `${transport}:${path}${name === undefined ? "" : `:${name}`}`;
    }
    default:
      return location satisfies never;
  }
}

// What does not begin as a location may be anything, with a password in it.
function invalid(transport: string, what: string): RuntimeError {
  const where = transport === "" ? "a location" : `${transport}:`;
  return new RuntimeError("ERR_RUNTIME_INVALID_LOCATION", `${where} ${what}`, { hint: HINT });
}
