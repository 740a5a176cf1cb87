/**
 * What a file has that is no key of the kind that is wanted, told by its looks.
 *
 * @module
 */
import { nameOfKey } from "./mistaken-key.ts";

/** A kind of keys, as its name is in a sentence. */
export type KeyKind = "OpenPGP public key" | "public key in PEM";

const PEM_KEY = /-----BEGIN (?:[A-Z]+ )?PUBLIC KEY-----/;

/** Why bytes are no key of a kind, as what the name of their file is followed by. */
export function noKeyOf(kind: KeyKind, bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1");
  const none = `holds no ${kind}`;
  // Written as data, a fingerprint is good base64.
  const name = nameOfKey(bytes.length > SHORT ? "" : text) ?? nameOfKey(encoded(bytes));
  if (name !== undefined) {
    const how = `: \`gpg --export --armor ${name.who}\` prints that key`;
    return `${none}, but ${name.what}${kind === "OpenPGP public key" ? how : ""}`;
  }
  if (kind === "OpenPGP public key" && PEM_KEY.test(text))
    return `${none}, but one in PEM: that is for sigstoreSigned and sigstoreBundle`;
  if (kind === "public key in PEM" && text.includes("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
    return `${none}, but one of OpenPGP: that is for signedBy`;
  const found = looksLike(text, bytes);
  return found === undefined ? none : `${none}, but ${found}`;
}

/** The most bytes of a name of a key. */
const SHORT = 200;

function encoded(bytes: Uint8Array): string {
  return bytes.length > SHORT ? "" : Buffer.from(bytes).toString("base64");
}

const LOOKS: readonly (readonly [begin: RegExp, what: string])[] = [
  [
    /-----BEGIN (?:OPENSSH|SSH2 ENCRYPTED) PRIVATE KEY-----/,
    "a private key of SSH, which must not be here, and which signs no images",
  ],
  [/-----BEGIN [A-Z ]*PRIVATE KEY/, "a private key, which must not be here"],
  [/^\s*(?:ssh-|ecdsa-sha2-|sk-)|-----BEGIN SSH2 /, "a key of SSH, which signs no images"],
  [/-----BEGIN PGP (?:SIGNATURE|SIGNED MESSAGE|MESSAGE)-----/, "a signature"],
  [/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/, "an X.509 certificate"],
  [/-----BEGIN CERTIFICATE REQUEST-----/, "a request for a certificate"],
  [/^[ \t]+-----BEGIN PGP PUBLIC/m, "one with blanks before its lines, which must have none"],
  [/-----BEGIN PGP PUBLIC(?![\s\S]*-----END PGP PUBLIC)/, "the beginning of one, without its end"],
  [/-----BEGIN PGP PUBLIC/, "one that is damaged"],
  [
    /-----BEGIN (?:[A-Z]+ )?PUBLIC KEY-----(?![\s\S]*-----END )/,
    "the beginning of one, without its end",
  ],
  [PEM_KEY, "one that is damaged"],
  [/^\s*(?:\ufeff)?<(?:!doctype|html|\?xml)/i, "a page of the web"],
  [/^[^]{8}KBXf/, "the keyring of a gpg itself"],
  [/^\s*LS0tLS1CRUdJTi/, "one in base64, which is too much by one time"],
];

/** The first byte of an OpenPGP signature, of what announces one, and of what is compressed. */
const SIGNATURES: readonly number[] = [0x88, 0x89, 0x90, 0xa0, 0xa3, 0xc2, 0xc4, 0xc8];
const SEQUENCE = 0x30;

function looksLike(text: string, bytes: Uint8Array): string | undefined {
  const known = LOOKS.find(([begin]) => begin.test(text))?.[1];
  if (known !== undefined) return known;
  if (SIGNATURES.includes(bytes[0] ?? 0)) return "a signature, or another message of OpenPGP";
  return bytes[0] === SEQUENCE ? "something in DER, such as a key or a certificate" : undefined;
}
