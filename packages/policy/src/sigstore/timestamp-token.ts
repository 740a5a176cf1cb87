/**
 * Timestamps of bundles: the answers of an authority that says when something was signed. Most of
 * such an answer is not signed; what is not, must be as every authority writes it. Who signed it is
 * for the sigstore project's verifier to say.
 *
 * @see https://www.rfc-editor.org/rfc/rfc3161
 * @see https://www.rfc-editor.org/rfc/rfc5652
 * @module
 */
import { DER, type DerValue, oidOf, readDer, readDerList } from "./der.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";

/** What a timestamp says, once somebody has verified it. */
export interface TimestampToken {
  readonly time: Date;
  /** Those that came with it, in DER. */
  readonly certificates: readonly Uint8Array[];
}

const OID = {
  signedData: "1.2.840.113549.1.7.2",
  timestamp: "1.2.840.113549.1.9.16.1.4",
  contentType: "1.2.840.113549.1.9.3",
} as const;
const CONTEXT = { zero: 0xa0 } as const;
const SHA256 = "2.16.840.1.101.3.4.2.1";
const DIGESTS = [SHA256, "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];
/** With ECDSA, over SHA-256, SHA-384 or SHA-512. */
const ECDSA = ["1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4"];
/** Of RSA the verifier knows SHA-256 only. */
const RSA = ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11"];
const TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d+))?Z$/;

/**
 * Reads a timestamp, without verifying it.
 *
 * @throws SignatureRejection if any part that the authority did not sign could be another.
 */
export function readTimestampToken(bytes: Uint8Array): TimestampToken {
  const [status, token] = valuesOf(readDer(bytes, DER.sequence), 2, 2);
  const [granted] = valuesOf(sequence(status), 1, 1);
  if (!isInteger(granted, 0)) refuse("was not granted");
  const [type, wrapper] = valuesOf(sequence(token), 2, 2);
  if (!isOid(type, OID.signedData)) refuse("is no signed message");
  const message = valuesOf(readDer(contentOf(wrapper, CONTEXT.zero), DER.sequence), 4, 5);
  const [version, digests, encapsulated, ...others] = message;
  const [certificates, signers] = others.length === 2 ? others : [undefined, others[0]];
  if (!isInteger(version, 3)) refuse("is of another version than 3");
  const digest = requireSigner(signers);
  const [named] = readOne(digests);
  if (algorithmOf(named) !== digest) refuse("names another digest than its signer does");
  return {
    time: timeOf(encapsulated),
    certificates:
      certificates === undefined
        ? []
        : readDerList(contentOf(certificates, CONTEXT.zero)).map((one) => sequence(one).bytes),
  };
}

/** @returns the digest that the one signer names. */
function requireSigner(signers: DerValue | undefined): string {
  const [signer] = readOne(signers);
  const [version, identifier, digestAlgorithm, attributes, signatureAlgorithm, signature] =
    valuesOf(sequence(signer), 6, 6);
  if (!isInteger(version, 1)) refuse("has a signer of another version than 1");
  const [issuer, serial] = valuesOf(sequence(identifier), 2, 2);
  sequence(issuer);
  contentOf(serial, DER.integer);
  const digest = algorithmOf(digestAlgorithm);
  const algorithm = algorithmOf(signatureAlgorithm);
  const isKnown = ECDSA.includes(algorithm) || (RSA.includes(algorithm) && digest === SHA256);
  if (!DIGESTS.includes(digest) || !isKnown) refuse("is signed in a way that is not supported");
  contentOf(signature, DER.octetString);
  const types = readDerList(contentOf(attributes, CONTEXT.zero))
    .map((attribute) => valuesOf(sequence(attribute), 2, 2))
    .filter(([type]) => isOid(type, OID.contentType));
  const [contentType] = types.length === 1 ? readOne(types[0]?.[1]) : [];
  if (!isOid(contentType, OID.timestamp)) refuse("is signed as something else");
  return digest;
}

function timeOf(encapsulated: DerValue | undefined): Date {
  const [type, content] = valuesOf(sequence(encapsulated), 2, 2);
  if (!isOid(type, OID.timestamp)) refuse("holds something else");
  const octets = readDer(contentOf(content, CONTEXT.zero), DER.octetString);
  const [version, , , , time] = valuesOf(readDer(octets.content, DER.sequence), 5, 10);
  if (!isInteger(version, 1)) refuse("holds another version than 1");
  const text = Buffer.from(contentOf(time, DER.generalizedTime)).toString("latin1");
  const [, year, month, day, hour, minute, second, fraction = ""] = TIME.exec(text) ?? [];
  const whole = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const read = new Date(`${whole}.${fraction.slice(0, 3).padEnd(3, "0")}Z`);
  // A month of 31 days that has 30 is read as the next one.
  const isThere = !Number.isNaN(read.getTime()) && read.toISOString().startsWith(whole);
  return isThere ? read : refuse("tells a time that is none");
}

/** An object identifier with no parameters, or with those that say that there are none. */
function algorithmOf(value: DerValue | undefined): string {
  const [id, parameters] = valuesOf(sequence(value), 1, 2);
  if (id?.tag !== DER.oid) refuse("names no algorithm");
  if (parameters !== undefined && contentOf(parameters, DER.nothing).length > 0)
    refuse("names an algorithm with parameters");
  return oidOf(id);
}

/** The only value of a set. */
function readOne(set: DerValue | undefined): readonly DerValue[] {
  const values = readDerList(contentOf(set, DER.set));
  return values.length === 1 ? values : refuse("has more than one of what there is one of");
}

function valuesOf({ content }: DerValue, least: number, most: number): readonly DerValue[] {
  const values = readDerList(content);
  return values.length >= least && values.length <= most
    ? values
    : refuse("has parts that are not supported");
}

function sequence(value: DerValue | undefined): DerValue {
  return value?.tag === DER.sequence ? value : refuse("is malformed");
}

function contentOf(value: DerValue | undefined, tag: number): Uint8Array {
  return value?.tag === tag ? value.content : refuse("is malformed");
}

function isInteger(value: DerValue | undefined, number: number): boolean {
  return value?.tag === DER.integer && value.content.length === 1 && value.content[0] === number;
}

function isOid(value: DerValue | undefined, oid: string): boolean {
  return value?.tag === DER.oid && oidOf(value) === oid;
}

function refuse(problem: string): never {
  throw new SignatureRejection("malformed", `its timestamp ${problem}`);
}
