import { isDigest } from "@stowage/content";
import { parseReference } from "@stowage/reference";

import { UsageError } from "./usage-error.ts";

const LOCAL =
  /^(?:containers-storage|dir|docker-archive|docker-daemon|oci|oci-archive|store|tarball):/;
const SCHEME = /^[a-z][a-z-]*:\/\//;

/**
 * Checks the name of an image to pull: neither an option gone astray nor another tool's transport,
 * and no ID, which no registry could be asked for.
 */
export function checkPullReference(text: string): string {
  if (SCHEME.test(text) || LOCAL.test(text)) {
    throw new UsageError(`"${text.slice(0, 160)}" names a transport; write the image's name alone`);
  }
  if (isDigest(text)) throw new UsageError("a digest alone names no repository: write NAME@DIGEST");
  parseReference(text);
  return text;
}

/**
 * Refuses a place on this machine where a registry is meant, before it is taken for the name of one.
 *
 * @param what - What the command takes, as a sentence begins.
 */
export function refuseTransport(text: string, what: string): void {
  const transport = LOCAL.exec(text)?.[0];
  if (transport === undefined) return;
  throw new UsageError(`${what}, and ${transport} is a place on this machine`, {
    hint: `Write [registry/]repository; stowage copy is what takes ${transport}PATH.`,
  });
}
