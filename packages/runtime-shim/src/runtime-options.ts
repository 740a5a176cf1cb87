import type {
  BandwidthLimit,
  Credentials,
  RateLimitPolicy,
  RegistryEvent,
  RequestRate,
  ShortNameMode,
} from "@stowage/registry";
import type { StoreLimits } from "@stowage/store";

/** Chooses one of `candidates`, full names that the short name may mean. */
export type ChooseShortName = (
  name: string,
  candidates: readonly string[],
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<string>;

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
  /**
   * On whose behalf: `NAME.json` in the runtime's `policyDirectory`, if it is there, is asked instead
   * of the policy of all. A container is made on behalf of its pod's namespace, if that has one.
   */
  readonly policyNamespace?: string | undefined;
}

/** Where the configuration of registries is, and who is told about it. */
export interface RegistrySettings {
  /** The main `registries.conf`. `CONTAINERS_REGISTRIES_CONF` and the usual places unless told. */
  readonly registriesConf?: string | undefined;
  /**
   * A `certs.d` with containerd's `hosts.toml` files. Those in `~/.config/containerd` and
   * `/etc/containerd` unless told.
   */
  readonly hostsDir?: string | undefined;
  /** Where choices are recorded; the place that other tools read unless told. */
  readonly shortNameAliases?: string | undefined;
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Addresses by `host:port`, instead of those that are looked up; TLS is held to the name. */
  readonly resolve?: Readonly<Record<string, string>> | undefined;
  /** Whether registries are offered HTTP/2 over TLS. @defaultValue false */
  readonly http2?: boolean | undefined;
  /** What all that is transferred shares, as `createBandwidthLimit` makes it. @defaultValue none */
  readonly bandwidth?: BandwidthLimit | undefined;
  /**
   * To one registry, retries included, of all that one runtime or one copy asks; a `RequestRate` is
   * shared by whoever is given it. @defaultValue as many as come
   */
  readonly requestsPerSecond?: number | RequestRate | undefined;
  /** What is done where a registry was asked enough. @defaultValue as a failure in passing */
  readonly rateLimits?: RateLimitPolicy | undefined;
  /** Told which file, key and place took part in what a registry was asked. Nobody, unless given. */
  readonly onRegistryEvent?: ((event: RegistryEvent) => void) | undefined;
  /**
   * Told what went wrong beside the thing that was asked for; `{ audit }` is the cause of what a policy
   * would refuse if it did not only report. Nobody, unless given.
   */
  readonly onWarning?: ((message: string, cause?: unknown) => void) | undefined;
}

/** What `createRuntime` needs to know. */
export interface RuntimeOptions extends RegistryAccess, RegistrySettings {
  /** Where images and containers are kept. */
  readonly root: string;
  /** Where mounts and run directories are; best on a tmpfs. */
  readonly runRoot: string;
  /** What images may hold, where it differs from the store's defaults. */
  readonly limits?: Partial<StoreLimits> | undefined;
  /** The signature policy. The ecosystem's places unless told; none at all refuses every image. */
  readonly policyPath?: string | undefined;
  /** Where namespaces have policies of their own, each as `NAME.json`. None have, unless told. */
  readonly policyDirectory?: string | undefined;
  /**
   * Where it says where signatures are: a `registries.d`, which must exist. The ecosystem's places
   * unless told; these need not.
   */
  readonly registriesDPath?: string | undefined;
  /** Instead of `short-name-mode` of `registries.conf`. */
  readonly shortNameMode?: ShortNameMode | undefined;
  /**
   * Asked which of its candidates a short name means, where the mode wants somebody to be asked; the
   * choice is recorded once the image is here. Nobody can be asked, unless given.
   */
  readonly choose?: ChooseShortName | undefined;
  /** The image of infra containers. None unless told: they are then records without an image. */
  readonly pauseImage?: string | undefined;
  /** Names that `removeImage` refuses, as patterns. */
  readonly pinned?: readonly string[] | undefined;
  /** Ends the wait for a store that another process recovers. */
  readonly signal?: AbortSignal | undefined;
}
