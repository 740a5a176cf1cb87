import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

import { ProtocolError } from "./protocol-error.ts";

/** Who may come in. */
export interface ServerCredentials {
  readonly username: string;
  readonly password: string;
}

/** Lets a request in that proves to know the password, and refuses every other. */
export function requireBasic(request: IncomingMessage, expected: ServerCredentials): void {
  const [, encoded = ""] = /^Basic +(\S+) *$/i.exec(request.headers.authorization ?? "") ?? [];
  const known = sha256(Buffer.from(`${expected.username}:${expected.password}`));
  // Hashes are of one length, so that the time to compare them tells nothing of the password's.
  if (timingSafeEqual(sha256(Buffer.from(encoded, "base64")), known)) return;
  throw new ProtocolError(401, "UNAUTHORIZED", "authentication required", {
    "www-authenticate": 'Basic realm="stowage", charset="UTF-8"',
  });
}

function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
