import type { Repository } from "@stowage/reference";

/** A place where a repository can be read: its own, or a mirror's. */
export interface Endpoint {
  /** By its physical name. */
  readonly repository: Repository;
  /**
   * Accept any certificate here and, where there is no TLS, plain HTTP.
   *
   * @defaultValue false
   */
  readonly insecure?: boolean;
}
