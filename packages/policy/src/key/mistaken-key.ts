/**
 * What people give in place of a key, told by its looks, and how to get the key itself. Nothing of
 * what they gave is in the words, since it may be a private key.
 *
 * @module
 */
import { hasCredentials } from "../scope/shown-scope.ts";

/** What stands for a key and is only its name. */
export interface MistakenKey {
  /** As in `it is …`. */
  readonly what: string;
  /** A key ID, a fingerprint or an address that gpg knows the key by. */
  readonly who: string;
}

const FINGERPRINT = /^(?:0x)?(?:[0-9A-F]{40}|[0-9A-F]{64}|[0-9A-F]{16}|[0-9A-F]{8})$/i;
const ADDRESS = /^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+$/;

/** A name of a key that stands where the key belongs. */
export function nameOfKey(text: string): MistakenKey | undefined {
  const plain = text.trim().replaceAll(/\s+/g, "");
  if (FINGERPRINT.test(plain)) return { what: "the fingerprint or the ID of a key", who: plain };
  if (ADDRESS.test(text.trim()) && !hasCredentials(text.trim()))
    return { what: "an address", who: text.trim() };
  return undefined;
}

/** Why data is no base64, and what to write. */
export function howToEncode(text: string, pathField: string): string {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY/.test(text)) {
    return "it is a private key, which must not be here: write what `base64 -w0 FILE` prints of its public half, and make a new key, since whoever may read the policy knows it";
  }
  if (text.includes("-----BEGIN")) {
    return "it is the text of a file: write what `base64 -w0 FILE` prints of that";
  }
  const name = nameOfKey(text);
  if (name !== undefined) {
    return `it is ${name.what}: write what \`gpg --export ${name.who} | base64 -w0\` prints`;
  }
  if (/^(?:~|\.{0,2})\//.test(text)) return `it is a path: call it ${pathField}`;
  return "write what `base64 -w0 FILE` prints";
}
