// The certificate library asks for it.
import "reflect-metadata";

import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  KeyObject,
  sign,
  webcrypto,
} from "node:crypto";

import * as x509 from "@peculiar/x509";
import type { SigstoreSignature } from "@stowage/policy";

import { type Claims, payloadOf } from "./judged-image.ts";

/** For whoever needs what {@link issue} does not offer. */
export { x509 };

export const COSIGN_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE = "dev.cosignproject.cosign/signature";
export const CERTIFICATE = "dev.sigstore.cosign/certificate";
export const CHAIN = "dev.sigstore.cosign/chain";
export const BUNDLE = "dev.sigstore.cosign/bundle";
export const COSIGN_PAYLOAD = "cosign container image signature";

/** A key pair, and the public half as a policy has it. */
export interface Signer {
  readonly privateKey: KeyObject;
  readonly pem: string;
  /** Base64 of `pem`. */
  readonly data: string;
}

export function makeSigner(kind: "ec" | "ed25519" | "rsa" = "ec", bits = 2048): Signer {
  const { privateKey, publicKey } =
    kind === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : kind === "rsa"
        ? generateKeyPairSync("rsa", { modulusLength: bits })
        : generateKeyPairSync("ed25519");
  return { privateKey, ...publicHalf(publicKey) };
}

/** What is signed, and what the annotations say beside the signature. */
export interface CosignOptions {
  readonly payload?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly mimeType?: string;
}

/** What cosign signs: as {@link payloadOf} has it, in the order in which Go writes maps. */
export function cosignPayload(claims: Claims = {}): string {
  const { optional = null, ...given } = claims;
  const { critical } = JSON.parse(payloadOf({ type: COSIGN_PAYLOAD, ...given }));
  const { identity, image, type } = critical;
  return JSON.stringify({ critical: { identity, image, type }, optional });
}

export const GOOD_PAYLOAD: string = cosignPayload();

/** A signature as cosign 2 attaches it. */
export function cosignSign(signer: Signer, options: CosignOptions = {}): SigstoreSignature {
  const { payload = GOOD_PAYLOAD, annotations = {}, mimeType = COSIGN_TYPE } = options;
  return {
    format: "sigstore-attachment",
    mimeType,
    payload: Buffer.from(payload),
    annotations: { [SIGNATURE]: signText(signer, payload), ...annotations },
    origin: "test",
  };
}

export function signText({ privateKey }: Signer, text: string): string {
  const algorithm = privateKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  return sign(algorithm, Buffer.from(text), privateKey).toString("base64");
}

/** What a transparency log is told and what it says. */
export interface LogOptions {
  readonly payload?: string;
  readonly signature: string;
  /** PEM of the key or certificate. */
  readonly verifier: string;
  readonly time?: Date;
  readonly changeEntry?: (entry: Entry) => unknown;
}

export interface Entry {
  apiVersion: string;
  kind: string;
  spec: {
    data: { hash: { algorithm: string; value: string } };
    signature: { content: string; publicKey: { content: string } };
  };
}

/** The annotation with the promise of a log that `log` signs for. */
export function logEntry(log: Signer, options: LogOptions): string {
  const { payload = GOOD_PAYLOAD, signature, verifier, time = new Date() } = options;
  const entry: Entry = {
    apiVersion: "0.0.1",
    kind: "hashedrekord",
    spec: {
      data: { hash: { algorithm: "sha256", value: sha256(payload) } },
      signature: {
        content: signature,
        publicKey: { content: Buffer.from(verifier).toString("base64") },
      },
    },
  };
  const changed = options.changeEntry?.(entry) ?? entry;
  const body = Buffer.from(JSON.stringify(changed)).toString("base64");
  const integratedTime = Math.floor(time.getTime() / 1000);
  const logID = sha256(log.pem);
  const canonical = JSON.stringify({ body, integratedTime, logID, logIndex: 7 });
  return JSON.stringify({
    SignedEntryTimestamp: signText(log, canonical),
    Payload: { body, integratedTime, logIndex: 7, logID },
  });
}

/** A certificate and its key. */
export interface Issued {
  readonly pem: string;
  readonly signer: Signer;
  readonly keys: CryptoKeyPair;
  readonly certificate: x509.X509Certificate;
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

/** How a certificate differs from one that is good. */
export interface IssueOptions {
  readonly emails?: readonly string[];
  readonly dns?: readonly string[];
  readonly uri?: string;
  readonly subject?: string;
  readonly issuerV1?: string | undefined;
  readonly issuerV2?: string | undefined;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly usages?: readonly string[] | undefined;
  /** Says nothing of what it is for. */
  readonly noUsages?: boolean;
  readonly authority?: { readonly pathLength?: number } | undefined;
  readonly keyUsage?: x509.KeyUsageFlags;
  readonly more?: readonly x509.Extension[];
  /** A key of RSA of so many bits. */
  readonly rsaBits?: number;
}

const MINUTE = 60_000;
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: Uint8Array.of(1, 0, 1),
};

x509.cryptoProvider.set(webcrypto as unknown as Crypto);

/** Makes a certificate that `issuer` signs, or that signs itself. */
export async function issue(
  issuer: Issued | undefined,
  options: IssueOptions = {},
): Promise<Issued> {
  const { rsaBits } = options;
  const kind = rsaBits === undefined ? EC : { ...RSA, modulusLength: rsaBits };
  const keys = await webcrypto.subtle.generateKey(kind, true, ["sign", "verify"]);
  const signingKey = issuer?.keys.privateKey ?? keys.privateKey;
  const names = [
    ...(options.emails ?? []).map((value) => ({ type: "email", value }) as const),
    ...(options.dns ?? []).map((value) => ({ type: "dns", value }) as const),
    ...(options.uri === undefined ? [] : [{ type: "url", value: options.uri } as const]),
  ];
  const { authority, usages = authority ? undefined : [x509.ExtendedKeyUsage.codeSigning] } =
    options;
  const keyUsage =
    options.keyUsage ??
    (authority ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature);
  const extensions = [
    new x509.KeyUsagesExtension(keyUsage, true),
    ...(usages && !options.noUsages ? [new x509.ExtendedKeyUsageExtension([...usages])] : []),
    ...(authority ? [new x509.BasicConstraintsExtension(true, authority.pathLength, true)] : []),
    ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ...(options.issuerV1 ? [bare("1.3.6.1.4.1.57264.1.1", options.issuerV1)] : []),
    ...(options.issuerV2 ? [utf8("1.3.6.1.4.1.57264.1.8", options.issuerV2)] : []),
    ...(options.more ?? []),
  ];
  const subject = options.subject ?? (authority ? `CN=${Math.random()}` : "CN=leaf");
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject,
    issuer: issuer?.certificate.subject ?? subject,
    notBefore: options.notBefore ?? new Date(Date.now() - MINUTE),
    notAfter: options.notAfter ?? new Date(Date.now() + 10 * MINUTE),
    signingAlgorithm: signingKey.algorithm.name === RSA.name ? RSA : EC,
    publicKey: keys.publicKey,
    signingKey,
    extensions,
  });
  const privateKey = KeyObject.from(keys.privateKey);
  return {
    pem: `${certificate.toString("pem")}\n`,
    signer: { privateKey, ...publicHalf(createPublicKey(privateKey)) },
    keys,
    certificate,
  };
}

/** An extension whose content is text as it is. */
export function bare(oid: string, text: string): x509.Extension {
  return new x509.Extension(oid, false, Buffer.from(text));
}

function utf8(oid: string, text: string): x509.Extension {
  const bytes = Buffer.from(text);
  return new x509.Extension(oid, false, Buffer.from([0x0c, bytes.length, ...bytes]));
}

export function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

/** One bit of the bytes is another. */
export function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

function publicHalf(key: KeyObject): Pick<Signer, "data" | "pem"> {
  const pem = key.export({ format: "pem", type: "spki" }).toString();
  return { pem, data: Buffer.from(pem).toString("base64") };
}
