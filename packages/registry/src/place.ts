import type { HostServer } from "./config/hosts-file.ts";
import type { Endpoint } from "./endpoint.ts";

/** An endpoint, and what a `hosts.toml` says about it. */
export interface Place extends Endpoint {
  /** The file that it stands in; with `server`. */
  readonly file?: string;
  readonly server?: HostServer;
  /** Tells this server of this file from others. */
  readonly key?: string;
  /** The registry that a mirror is told it is asked for. */
  readonly namespace?: string;
  /** Whether others are asked after it, so that it need not be tried as often. */
  readonly isMirror?: boolean;
  /** What forbids to ask anything, such as a file that is no configuration. */
  readonly failure?: unknown;
}

/** Where a repository is read. */
export interface Places {
  /** To be asked first, in this order. */
  readonly mirrors: readonly Place[];
  readonly primary: Place;
}
