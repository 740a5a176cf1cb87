import { type ErrorKind, errorKind } from "@stowage/content";

const HINTS: Readonly<Partial<Record<ErrorKind, string>>> = {
  AlreadyExists: "Choose another name, or remove what has this one first.",
  AuthFailed:
    "Log in with stowage login REGISTRY, or give credentials with --creds-stdin, or a file that has them with --authfile.",
  ContainerNotFound: "stowage ps lists the containers that are here.",
  DigestInvalid: "A digest is sha256: and 64 lower-case hex digits.",
  DigestMismatch: "Other bytes came than were promised; try again, and do not trust this source.",
  ImageInUse: "Remove the containers first (stowage rm), or unmount the image (stowage umount).",
  ImageNotFound: "stowage images lists what is here; stowage pull fetches more.",
  InUse: "End or remove what uses it first; stowage ps lists the containers.",
  InvalidArgument: "stowage COMMAND --help tells what a command takes.",
  NoSpace: "Make room, and try again: what has arrived whole is kept.",
  PodNotFound: "stowage pod ls lists the pods that are here.",
  PolicyRejected: "The policy would have to trust it; stowage info tells which file that is.",
  RateLimited: "Wait, or give credentials: registries allow those whom they know more.",
  ReferenceInvalid:
    "Write [registry/]repository[:tag][@digest], as in quay.io/podman/hello:latest.",
  RegistryNotFound:
    "Look at the name and the tag; who may not see an image is told that it is not there.",
  RegistryUnavailable: "Look at the name of the registry and the way there, and try again.",
  StoreBusy: "Another process is at it; try again.",
  StoreCorrupt: "Pull the image again: only what is damaged is fetched anew.",
};

/** What can be done about a failure that does not say so itself. */
export function usualHint(error: unknown): string | undefined {
  const kind = errorKind(error);
  return kind === undefined ? undefined : HINTS[kind];
}
