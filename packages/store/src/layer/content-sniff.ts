import { escapeText } from "@stowage/content";

const SHOWN_BYTES = 16;

/** What people put where an archive should be, by how it begins. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ["gzip", /^\x1f\x8b/],
  ["zstd", /^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/],
  ["a zip archive", /^PK\x03\x04/],
  ["an ar archive", /^!<arch>\n/],
  ["a program", /^\x7fELF/],
  ["a page of HTML", /^\s*<(?:!doctype|html)/i],
  ["JSON", /^\s*[{[]/],
];

/** Says what some bytes look like that are not what they should be. */
export function describeHead(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 64));
  const text = head.toString("latin1");
  const kind = KINDS.find(([, magic]) => magic.test(text))?.[0];
  const shown = `"${escapeText(text.slice(0, SHOWN_BYTES))}"`;
  return kind === undefined ? shown : `${shown}, as ${kind} does`;
}
