import type { Repository } from "@stowage/reference";

/** A place where a repository can be read: its own, or a mirror's. */
export interface Endpoint {
  /** By its physical name. */
  readonly repository: Repository;
  /**
   * Accept any certificate here and, where there is no TLS, plain HTTP; unless the TLS settings of
   * its host say themselves whether to verify.
   *
   * @defaultValue false
   */
  readonly insecure?: boolean;
  /** The file that forbids to ask here: it is refused, and the next place asked. */
  readonly blockedBy?: string;
}
