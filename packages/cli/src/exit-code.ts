import { type ErrorKind, errorKind, hasErrorCode } from "@stowage/content";

/** What the process ends with. 11 is of `sync`, 125–127 are of `run`, 130 and 143 of signals. */
export type ExitCode =
  | 0
  | 1
  | 2
  | 3
  | 4
  | 5
  | 6
  | 7
  | 8
  | 9
  | 10
  | 11
  | 12
  | 125
  | 126
  | 127
  | 130
  | 143;

const CODES: Readonly<Partial<Record<ErrorKind, ExitCode>>> = {
  AlreadyExists: 10,
  AuthFailed: 4,
  AuthRealmRefused: 4,
  CredHelperFailed: 4,
  ConfigFileInvalid: 1,
  ConfigInvalid: 8,
  ContainerNotFound: 3,
  DecompressError: 8,
  DiffIdMismatch: 8,
  DigestInvalid: 2,
  DigestMismatch: 8,
  DigestUnsupported: 2,
  ImageInUse: 10,
  ImageNotFound: 3,
  InUse: 10,
  InvalidArgument: 2,
  LayerEscape: 8,
  LayerInvalid: 8,
  ManifestAmbiguous: 8,
  ManifestInvalid: 8,
  NoSpace: 9,
  PlatformNotFound: 3,
  PodNotFound: 3,
  PolicyConfigInvalid: 7,
  PolicyRejected: 7,
  PullStalled: 5,
  RateLimited: 6,
  ReadOnlyStore: 12,
  ReferenceInvalid: 2,
  RegistryNotFound: 3,
  RegistryProtocol: 5,
  RegistryUnavailable: 5,
  SignatureInvalid: 7,
  SizeMismatch: 8,
  StoreBusy: 10,
  StoreCorrupt: 8,
  TlsFailed: 5,
};

/** The exit code that a failure stands for; the kind decides. */
export function exitCodeOf(error: unknown): ExitCode {
  const kind = errorKind(error);
  if (kind !== undefined) return CODES[kind] ?? 1;
  return hasErrorCode(error, "ENOSPC", "EDQUOT") ? 9 : 1;
}
