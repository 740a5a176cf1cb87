import { escapeText } from "@stowage/content";

import { redactUrl } from "./redact.ts";
import type { Transport } from "./transport.ts";

/** Something that the registry wants its users to know. */
export interface WarningEvent {
  readonly type: "warning";
  readonly url: string;
  /** Of the registry's choosing; control characters are escaped. */
  readonly text: string;
}

// What a connection tells of, in all; the specification has its warnings no longer than this.
const MAX_BYTES = 4096;
// HTTP/2 brings several headers of one name as a list.
const WARNING = /(?:^|,\s*)299 - "((?:[^"\\]|\\.)*)"(?=\s*(?:,|$))/gsu;

/**
 * Tells of the `Warning` headers of a registry, of each text once.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#warnings
 */
export function withWarnings(
  next: Transport,
  onEvent: ((event: WarningEvent) => void) | undefined,
): Transport {
  if (onEvent === undefined) return next;
  const told = new Set<string>();
  let left = MAX_BYTES;
  return async (request, options) => {
    const response = await next(request, options);
    const { redact = (text: string) => text } = response;
    const values = [response.headers["warning"] ?? []].flat();
    for (const [, quoted = ""] of values.flatMap((value) => [...value.matchAll(WARNING)])) {
      const said = quoted.replace(/\\(.)/gsu, "$1");
      const text = escapeText(redact(said), MAX_BYTES);
      if (told.has(text) || text.length > left) continue;
      told.add(text);
      left -= text.length;
      onEvent({ type: "warning", url: redactUrl(request.url), text });
    }
    return response;
  };
}
