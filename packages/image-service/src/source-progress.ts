/**
 * What an image source tells during a pull of the way to it, through the `onProgress` that it is
 * opened with. A source that has nothing of the kind to tell tells nothing.
 *
 * @module
 */
export type SourceProgress =
  /** A place that delivered a manifest, so that the blobs are asked for there first. */
  | {
      readonly type: "source";
      /** By the name that was asked for. */
      readonly repository: string;
      readonly target: string;
      /** `host/path` of the place. */
      readonly source: string;
      readonly mirror: boolean;
    }
  /** A mirror that did not deliver, so that the next place was asked. */
  | {
      readonly type: "mirror-failed";
      /** `host/path` of the mirror. */
      readonly repository: string;
      readonly error: unknown;
      /** Whether it delivered other bytes than those asked for by digest. */
      readonly tampering: boolean;
    }
  /** A request that is sent again after `delay` milliseconds. */
  | {
      readonly type: "retry";
      readonly url: string;
      /** How often it has been sent. */
      readonly attempt: number;
      readonly delay: number;
      /** The status or the error code that it failed with. */
      readonly reason: number | string;
    }
  /** A request that is not sent again, since too many to the same host have failed. */
  | {
      readonly type: "retries-spent";
      readonly url: string;
      readonly attempt: number;
      readonly reason: number | string;
    }
  /** An answer that was the last one for now, by the registry's own count. */
  | {
      readonly type: "rate-limit-spent";
      readonly url: string;
      /** Requests in a window. */
      readonly limit?: number;
      readonly remaining?: number;
      /** Length of the window in seconds. */
      readonly window?: number;
      /** Seconds until there are more. */
      readonly reset?: number;
    }
  /** A blob whose connection broke, and that goes on where it stopped. */
  | { readonly type: "resume"; readonly digest: string; readonly received: number }
  /** A blob that is read over so many connections from now on. */
  | { readonly type: "parallel"; readonly digest: string; readonly connections: number };
