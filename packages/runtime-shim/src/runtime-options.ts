import type { Credentials } from "@stowage/registry";

/** How a registry is reached. What is not said is looked for where the ecosystem keeps it. */
export interface RegistryAccess {
  /** Instead of those in credential files. */
  readonly credentials?: Credentials | undefined;
  /** The credential file. `REGISTRY_AUTH_FILE` and the usual places unless told. */
  readonly authfile?: string | undefined;
  /** Instead of `certs.d` in `/etc/containers` and `/etc/docker`. */
  readonly certDir?: string | undefined;
  /**
   * Whether the registry must prove who it is. If not, plain HTTP is tried as well.
   *
   * @defaultValue true
   */
  readonly tlsVerify?: boolean | undefined;
  /**
   * Whether signatures are kept with the image. If not, they are looked for only where the policy
   * asks for them, and an image is judged as unsigned once it is in the store.
   *
   * @defaultValue true
   */
  readonly keepSignatures?: boolean | undefined;
}

/** What `createRuntime` needs to know. */
export interface RuntimeOptions extends RegistryAccess {
  /** Where images and containers are kept. */
  readonly root: string;
  /** Where mounts and run directories are; best on a tmpfs. */
  readonly runRoot: string;
  /** The signature policy. The ecosystem's places unless told; none at all refuses every image. */
  readonly policyPath?: string | undefined;
  /** Where it says where signatures are: a `registries.d`. The ecosystem's places unless told. */
  readonly registriesDPath?: string | undefined;
  /** The image of infra containers. None unless told: they are then records without an image. */
  readonly pauseImage?: string | undefined;
  /** Names that `removeImage` refuses, as patterns. */
  readonly pinned?: readonly string[] | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Told what went wrong beside the thing that was asked for. Nobody, unless given. */
  readonly onWarning?: ((message: string, cause?: unknown) => void) | undefined;
  /** Ends the wait for a store that another process recovers. */
  readonly signal?: AbortSignal | undefined;
}
