import { isDigest } from "@stowage/content";
import { parseReference } from "@stowage/reference";

import { UsageError } from "./usage-error.ts";

const TRANSPORT =
  /^(?:[a-z][a-z-]*:\/\/|(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|tarball):)/;

/**
 * Checks the name of an image to pull: neither an option gone astray nor another tool's transport,
 * and no ID, which no registry could be asked for.
 */
export function checkPullReference(text: string): string {
  if (TRANSPORT.test(text)) {
    throw new UsageError(`"${text.slice(0, 160)}" names a transport; write the image's name alone`);
  }
  if (isDigest(text)) throw new UsageError("a digest alone names no repository: write NAME@DIGEST");
  parseReference(text);
  return text;
}
