import type { Digest } from "@stowage/content";
import type { Reference } from "@stowage/reference";

/** An image in a registry. */
export interface DockerSubject {
  readonly transport: "docker";
  /** As the user gave it; of tag and digest the digest decides, and neither means `latest`. */
  readonly reference: Reference;
  /** The manifest of the one image, not of an index: what a signature has to be for. */
  readonly manifestDigest?: Digest;
}

/** An image in a directory of this machine, or in an OCI layout that is packed into a file. */
export interface PathSubject {
  readonly transport: "dir" | "oci" | "oci-archive";
  /** Absolute and clean, links resolved, without the name of an image in it. */
  readonly path: string;
  readonly manifestDigest?: Digest;
}

/** An image in a file that `docker save` wrote. */
export interface ArchiveSubject {
  readonly transport: "docker-archive";
  readonly manifestDigest?: Digest;
}

/** An image in a Docker daemon. */
export interface DaemonSubject {
  readonly transport: "docker-daemon";
  /** As for {@link DockerSubject}; none if it goes by its ID, which no scope can name. */
  readonly reference?: Reference | undefined;
  readonly manifestDigest?: Digest;
}

/** An image in a store that containers/storage keeps, podman's for one. */
export interface StorageSubject {
  readonly transport: "containers-storage";
  /** The store's driver. */
  readonly driver: string;
  /** The store's root, absolute, as it is configured. */
  readonly graphRoot: string;
  /** As for {@link DockerSubject}; none if it goes by its ID alone. */
  readonly reference?: Reference | undefined;
  /** 64 hex digits, where the user gave it. */
  readonly id?: string | undefined;
  readonly manifestDigest?: Digest;
}

/** What a policy is asked about. */
export type PolicySubject =
  | DockerSubject
  | PathSubject
  | ArchiveSubject
  | DaemonSubject
  | StorageSubject;
