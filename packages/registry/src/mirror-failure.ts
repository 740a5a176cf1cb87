import { RegistryError } from "./registry-error.ts";

/** A mirror that did not deliver, so that the next place was asked. */
export interface MirrorFailedEvent {
  readonly type: "mirror-failed";
  /** `host/path` of the mirror. */
  readonly repository: string;
  readonly error: unknown;
  /** Whether it delivered other bytes than those asked for by digest. */
  readonly tampering: boolean;
}

/** The primary's error decides; what the mirrors said is added to its message. */
export function withMirrors(failure: unknown, failures: readonly string[]): unknown {
  if (failures.length === 0 || !(failure instanceof RegistryError)) return failure;
  const { code, status, method, url, diagnostics, retryAfter, rateLimit, hint } = failure;
  const message = `${failure.message} (mirrors failed too: ${failures.join("; ")})`;
  return new RegistryError(code, message, {
    status,
    method,
    url,
    diagnostics,
    retryAfter,
    rateLimit,
    hint,
    cause: failure,
  });
}
