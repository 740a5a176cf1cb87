/**
 * X.509 certificates as signers of images have them.
 *
 * @see https://www.rfc-editor.org/rfc/rfc5280
 * @module
 */
import { type KeyObject, X509Certificate } from "node:crypto";

import { bitStringBytes, DER, type DerValue, oidOf, readDer, readDerList } from "./der.ts";
import { isStrongKey } from "./sigstore-key.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** A certificate, and what a verifier asks of it. */
export interface Certificate {
  readonly x509: X509Certificate;
  readonly der: Uint8Array;
  /** Object identifier to content. */
  readonly extensions: ReadonlyMap<string, Uint8Array>;
  readonly isAuthority: boolean;
  /** How many authorities may stand below it. */
  readonly pathLength: number;
  readonly mayCertify: boolean;
  readonly maySign: boolean;
  readonly mayCodeSign: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly emails: readonly string[];
  readonly uris: readonly string[];
  /** How many subject alternative names it has, of whatever sort. */
  readonly nameCount: number;
}

const OID = {
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  policies: "2.5.29.32",
  extendedKeyUsage: "2.5.29.37",
} as const;
const UNDERSTOOD: ReadonlySet<string> = new Set([
  OID.keyUsage,
  OID.subjectAltName,
  OID.basicConstraints,
  OID.policies,
  OID.extendedKeyUsage,
]);
const CODE_SIGNING = ["1.3.6.1.5.5.7.3.3", "2.5.29.37.0"];
const STRONG_SIGNATURES: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.1.10",
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
  "1.3.101.112",
]);
const SAN = { email: 0x81, uri: 0x86 } as const;
const PEM = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;

/** Every certificate of a PEM text; there is nothing between them but space. */
export function readCertificates(text: string): readonly Certificate[] {
  const blocks = [...text.matchAll(PEM)].map(([, base64]) => base64 ?? "");
  if (blocks.length === 0 || text.replaceAll(PEM, "").trim() !== "") {
    throw new SignatureRejection("malformed", "it has certificates that are not in PEM");
  }
  return blocks.map((base64) => {
    const joined = base64.replaceAll(/\s/g, "");
    const der = Buffer.from(joined, "base64");
    if (der.toString("base64") !== joined) malformed("is not in base64");
    return parseCertificate(der);
  });
}

/** Reads a certificate. One that has what nobody here understands and must be understood is none. */
export function parseCertificate(der: Uint8Array): Certificate {
  const [tbs, outerAlgorithm, signature, more] = readDerList(readDer(der, DER.sequence).content);
  if (tbs === undefined || signature === undefined || more !== undefined)
    malformed("is incomplete");
  bitStringBytes(signature);
  const { x509, publicKey } = readX509(der);
  if (!isStrongKey(publicKey)) malformed("has a key that is too weak");
  if (!STRONG_SIGNATURES.has(algorithmOf(outerAlgorithm)))
    malformed("has a signature that is too weak");
  const extensions = readExtensions(tbs);
  const basic = readOptional(extensions, OID.basicConstraints);
  const [authority, length] = basic ?? [];
  const isAuthority = authority?.tag === DER.boolean && authority.content[0] === 0xff;
  const usage = readKeyUsage(extensions.get(OID.keyUsage));
  const purposes = readOptional(extensions, OID.extendedKeyUsage)?.map(oidOf);
  const names = readOptional(extensions, OID.subjectAltName) ?? [];
  const textsOf = (tag: number): readonly string[] =>
    names.filter((name) => name.tag === tag).map(({ content }) => asciiOf(content));
  return {
    x509,
    der,
    extensions,
    isAuthority,
    pathLength: length === undefined ? Number.MAX_SAFE_INTEGER : integerOf(length),
    mayCertify: usage === undefined || (usage & 0x04) !== 0,
    maySign: usage === undefined || (usage & 0x80) !== 0,
    mayCodeSign: purposes?.some((purpose) => CODE_SIGNING.includes(purpose)) ?? false,
    notBefore: timeOf(x509.validFrom),
    notAfter: timeOf(x509.validTo),
    emails: textsOf(SAN.email),
    uris: textsOf(SAN.uri),
    nameCount: names.length,
  };
}

/** Whether an authority that says what its certificates are for leaves out signing code. */
export function forbidsCodeSigning({ extensions, mayCodeSign }: Certificate): boolean {
  return extensions.has(OID.extendedKeyUsage) && !mayCodeSign;
}

/** The text of an extension that is bare, or a UTF8String. */
export function extensionText(
  { extensions }: Certificate,
  oid: string,
  form: "bare" | "utf8",
): string | undefined {
  const value = extensions.get(oid);
  if (value === undefined) return undefined;
  const bytes = form === "bare" ? value : readDer(value, DER.utf8String).content;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new SignatureRejection(
      "malformed",
      `its certificate has an extension ${oid} that is no text`,
      { cause },
    );
  }
}

function readX509(der: Uint8Array): { x509: X509Certificate; publicKey: KeyObject } {
  try {
    const x509 = new X509Certificate(der);
    return { x509, publicKey: x509.publicKey };
  } catch (cause) {
    throw new SignatureRejection("malformed", "its certificate cannot be read", { cause });
  }
}

function readExtensions(tbs: DerValue): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  const wrapper = readDerList(tbs.content).find(({ tag }) => tag === 0xa3);
  if (wrapper === undefined) return found;
  for (const extension of readDerList(readDer(wrapper.content, DER.sequence).content)) {
    const parts = readDerList(extension.content);
    const [id, second, third] = parts;
    const value = parts.length === 3 ? third : second;
    if (id?.tag !== DER.oid || value?.tag !== DER.octetString || parts.length > 3)
      malformed("has a malformed extension");
    const oid = oidOf(id);
    const isCritical = parts.length === 3 && second?.content[0] !== 0;
    if (found.has(oid)) malformed(`has the extension ${oid} twice`);
    if (isCritical && !UNDERSTOOD.has(oid))
      malformed(`asks for an extension ${oid} to be understood`);
    if (oid === OID.nameConstraints) malformed("constrains names, which is not supported");
    found.set(oid, value.content);
  }
  return found;
}

function readOptional(
  extensions: ReadonlyMap<string, Uint8Array>,
  oid: string,
): readonly DerValue[] | undefined {
  const value = extensions.get(oid);
  return value && readDerList(readDer(value, DER.sequence).content);
}

/** The first eight bits: signing is the highest, certifying the sixth. */
function readKeyUsage(value: Uint8Array | undefined): number | undefined {
  if (value === undefined) return undefined;
  return readDer(value, DER.bitString).content[1] ?? 0;
}

function algorithmOf(algorithm: DerValue | undefined): string {
  const [id] = algorithm === undefined ? [] : readDerList(algorithm.content);
  return id?.tag === DER.oid ? oidOf(id) : malformed("names no algorithm");
}

function integerOf({ tag, content }: DerValue): number {
  if (tag !== DER.integer || content.length !== 1 || (content[0] ?? 0) > 0x7f) {
    malformed("has a path length that is none");
  }
  return content[0] ?? 0;
}

function timeOf(text: string): Date {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? malformed("has a validity that is none") : time;
}

function asciiOf(content: Uint8Array): string {
  const text = Buffer.from(content).toString("latin1");
  return /^[\x20-\x7e]+$/.test(text) ? text : malformed("has a name that is no text");
}

function malformed(problem: string): never {
  throw new SignatureRejection("malformed", `its certificate ${problem}`);
}
