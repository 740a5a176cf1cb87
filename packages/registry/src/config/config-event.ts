/**
 * What of the machine's configuration took part: which file, which key, which place. For logs; no
 * event holds a secret.
 *
 * @module
 */

/** A configuration file was read. */
export interface ConfigFileEvent {
  readonly type: "config-file";
  readonly file: string;
  /** Keys that mean nothing here, as `registry[0].bogus`. */
  readonly unknownKeys: readonly string[];
}

/** A table of `registries.conf` says where a repository is read. */
export interface RegistryTableEvent {
  readonly type: "registry-table";
  readonly repository: string;
  readonly prefix: string;
  readonly file: string;
  /** `host/path` of each place, in the order in which they are asked. */
  readonly sources: readonly string[];
}

/** A `hosts.toml` of containerd says where a repository is read. */
export interface HostsFileEvent {
  readonly type: "hosts-file";
  readonly repository: string;
  /** The `hosts.toml`, or a directory that has only certificates. */
  readonly file: string;
  /** Where each of the sources stands in it, as `server` or `host."https://…"`. */
  readonly keys: readonly string[];
  /** `host/path` of each place, in the order in which they are asked. */
  readonly sources: readonly string[];
}

/** Credentials were looked for. */
export interface CredentialsEvent {
  readonly type: "credentials";
  readonly host: string;
  readonly repository: string;
  /** The file or the helper that had them; `undefined` if nobody had: anonymous. */
  readonly source: string | undefined;
  /** The entry of the file, or what the helper was asked for. */
  readonly key: string | undefined;
}

/** A file with secrets that others on this machine may read. */
export interface ExposedFileEvent {
  readonly type: "exposed-file";
  readonly file: string;
  /** Permission bits, in octal. */
  readonly mode: string;
}

/** Certificates for a host were found. */
export interface CertificatesEvent {
  readonly type: "certificates";
  readonly host: string;
  readonly source: string;
  /** How many files of authorities. */
  readonly authorities: number;
  /** Whether there is a certificate of the client's own. */
  readonly client: boolean;
}

/** How a host is reached. */
export interface ProxyEvent {
  readonly type: "proxy";
  readonly origin: string;
  /** Without user and password; `undefined`: reached directly, because `NO_PROXY` says so. */
  readonly proxy: string | undefined;
  /** The environment variable that decided. */
  readonly variable: string;
}

/** A short name was expanded. */
export interface ShortNameEvent {
  readonly type: "short-name";
  readonly name: string;
  readonly candidates: readonly string[];
  /** The file, and the key in it, that decided. */
  readonly source: string;
}

/** What of the configuration took part in something. */
export type ConfigEvent =
  | CertificatesEvent
  | ConfigFileEvent
  | CredentialsEvent
  | ExposedFileEvent
  | HostsFileEvent
  | ProxyEvent
  | RegistryTableEvent
  | ShortNameEvent;

/** How whatever reads configuration is told to report. */
export interface ConfigEventOptions {
  /** Told which file, which key and which place took part; for logs. */
  readonly onEvent?: ((event: ConfigEvent) => void) | undefined;
}
