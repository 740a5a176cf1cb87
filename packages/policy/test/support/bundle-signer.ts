// The certificate library asks for it.
import "reflect-metadata";

import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

import { initializeCA, initializeCTLog, initializeTLog, initializeTSA } from "@sigstore/mock";
import type { BundleSignature } from "@stowage/policy";

import { MANIFEST_DIGEST } from "./judged-image.ts";
import type { Issued } from "./sigstore-signer.ts";

export const ISSUER = "https://token.actions.githubusercontent.com";
export const WORKFLOW = "https://github.com/o/r/.github/workflows/build.yml@refs/tags/v1.2.3";
export const SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

/** What a bundle says, and how it was made. */
export interface BundleOptions {
  readonly statement?: object;
  readonly payloadType?: string;
  readonly subject?: string;
  readonly issuer?: string;
  /** A bare key instead of a certificate. */
  readonly key?: KeyObject;
  /** A certificate of somebody else's, with its key. */
  readonly leaf?: Issued;
  /** Rekor v2 tells of an envelope as of any file, or as an envelope. @defaultValue `v1` */
  readonly log?: LogVersion;
  /** Whether the log of `v1` promises. @defaultValue true */
  readonly promise?: boolean;
  /** Whether a timestamp authority says when. @defaultValue only with a log of `v2` */
  readonly timestamp?: boolean;
  /** Whether the timestamp brings the certificate of its authority. @defaultValue false */
  readonly embedded?: boolean;
  /** Lines that are put under the log's own in the checkpoint. */
  readonly witnesses?: readonly string[];
  /** What the envelope says of the key. */
  readonly keyid?: string;
}

type LogVersion = "none" | "v1" | "v2" | "v2-dsse";

/** A bundle as JSON; tests turn its parts. */
// oxlint-disable-next-line typescript/no-explicit-any -- a document that tests break at any place
export type BundleJson = any;

/** Who says when something was signed. */
export interface Clock {
  /** Its own first, in DER. */
  readonly certificates: readonly ArrayBufferView[];
  /** Answers in DER. */
  timestamp(artifactHash: Buffer): Promise<Buffer>;
}

/** A sigstore instance of its own, with a trusted root that names it. */
export interface Sigstore {
  readonly trustedRoot: Record<string, unknown>;
  /** Base64 of the trusted root. */
  readonly rootData: string;
  bundle(options?: BundleOptions): Promise<BundleJson>;
}

/** Starts the services of the sigstore project's own mock. */
export async function openSigstore(clock?: Clock): Promise<Sigstore> {
  const ctLog = await initializeCTLog(keyPair());
  const ca = await initializeCA(keyPair(), ctLog);
  const log = await initializeTLog("https://log.example.com", keyPair());
  const tsa = await initializeTSA(keyPair());
  const validFor = { start: "2020-01-01T00:00:00Z" };
  const logOf = (publicKey: Uint8Array) => ({
    baseUrl: "https://log.example.com",
    hashAlgorithm: "SHA2_256",
    publicKey: { rawBytes: base64(publicKey), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor },
    logId: { keyId: base64(sha256(publicKey)) },
  });
  const authorityOf = (...certificates: readonly ArrayBufferView[]) => ({
    subject: { organization: "o", commonName: "c" },
    uri: "https://ca.example.com",
    certChain: {
      certificates: certificates.map((certificate) => ({ rawBytes: base64(certificate) })),
    },
    validFor,
  });
  const trustedRoot = {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [logOf(log.publicKey)],
    certificateAuthorities: [authorityOf(ca.rootCertificate)],
    ctlogs: [logOf(ctLog.publicKey)],
    timestampAuthorities: [
      authorityOf(...(clock?.certificates ?? [tsa.intCertificate, tsa.rootCertificate])),
    ],
  };
  return {
    trustedRoot,
    rootData: base64(Buffer.from(JSON.stringify(trustedRoot))),
    async bundle(options = {}) {
      const { statement = statementOf(), payloadType = "application/vnd.in-toto+json" } = options;
      const { subject = WORKFLOW, issuer = ISSUER, log: version = "v1" } = options;
      const ownKey = options.key ?? options.leaf?.signer.privateKey;
      const { privateKey, publicKey } =
        ownKey === undefined ? keyPair() : { privateKey: ownKey, publicKey: undefined };
      const issued =
        publicKey &&
        (await ca.issueCertificate({
          publicKey: publicKey.export({ format: "der", type: "spki" }),
          subjectAltName: subject,
          extensions: [
            { oid: "1.3.6.1.4.1.57264.1.1", value: issuer, legacy: true },
            { oid: "1.3.6.1.4.1.57264.1.8", value: issuer },
          ],
        }));
      const { leaf } = options;
      const certificate = leaf === undefined ? issued : Buffer.from(leaf.certificate.rawData);
      const payload = Buffer.from(JSON.stringify(statement));
      const signature = sign("sha256", preAuthEncoding(payloadType, payload), privateKey);
      const verifier = certificate
        ? pemOf("CERTIFICATE", certificate)
        : pemOf("PUBLIC KEY", spkiOf(privateKey));
      const tlogEntries = await entries(options, {
        signed: preAuthEncoding(payloadType, payload),
        payload,
        signature,
        verifier,
        raw: certificate ?? spkiOf(privateKey),
        isCertificate: certificate !== undefined,
      });
      const isTimed = options.timestamp ?? version.startsWith("v2");
      return {
        mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
        verificationMaterial: {
          ...(certificate
            ? { certificate: { rawBytes: base64(certificate) } }
            : { publicKey: { hint: "key" } }),
          tlogEntries,
          ...(isTimed && {
            timestampVerificationData: {
              rfc3161Timestamps: [{ signedTimestamp: await timestampOf(signature, options) }],
            },
          }),
        },
        dsseEnvelope: {
          payload: base64(payload),
          payloadType,
          signatures: [
            {
              sig: base64(signature),
              ...(options.keyid === undefined ? {} : { keyid: options.keyid }),
            },
          ],
        },
      };
    },
  };

  async function entries(options: BundleOptions, logged: Logged): Promise<readonly object[]> {
    const { log: version = "v1", promise = true, witnesses = [] } = options;
    const { payload, signature, verifier } = logged;
    if (version === "none") return [];
    if (version !== "v1") return [await entryOfV2(version, logged, witnesses)];
    const proposed = {
      apiVersion: "0.0.1",
      kind: "dsse",
      spec: {
        envelopeHash: { algorithm: "sha256", value: sha256(payload).toString("hex") },
        payloadHash: { algorithm: "sha256", value: sha256(payload).toString("hex") },
        signatures: [{ signature: base64(signature), verifier: base64(Buffer.from(verifier)) }],
      },
    };
    const [entry] = Object.values(await log.log(proposed));
    const { verification } = entry as unknown as {
      verification: { inclusionProof: { checkpoint: string }; signedEntryTimestamp: string };
    };
    return [
      {
        logIndex: String(entry?.logIndex),
        logId: { keyId: Buffer.from(entry?.logID ?? "", "hex").toString("base64") },
        kindVersion: { kind: "dsse", version: "0.0.1" },
        ...(promise && {
          integratedTime: String(entry?.integratedTime),
          inclusionPromise: { signedEntryTimestamp: verification.signedEntryTimestamp },
        }),
        inclusionProof: proofOf(verification.inclusionProof.checkpoint, witnesses),
        canonicalizedBody: entry?.body as unknown as string,
      },
    ];
  }

  async function entryOfV2(
    version: "v2" | "v2-dsse",
    { signed, payload, signature, raw, isCertificate }: Logged,
    witnesses: readonly string[],
  ): Promise<object> {
    const signatureOf = {
      content: base64(signature),
      verifier: {
        keyDetails: "PKIX_ECDSA_P256_SHA_256",
        [isCertificate ? "x509Certificate" : "publicKey"]: { rawBytes: base64(raw) },
      },
    };
    const digestOf = (bytes: Uint8Array) => ({
      algorithm: "SHA2_256",
      digest: base64(sha256(bytes)),
    });
    const kind = version === "v2" ? "hashedrekord" : "dsse";
    const spec =
      version === "v2"
        ? { hashedRekordV002: { data: digestOf(signed), signature: signatureOf } }
        : { dsseV002: { payloadHash: digestOf(payload), signatures: [signatureOf] } };
    const body = { apiVersion: "0.0.2", kind, spec };
    const entry = await log.logV2(body as unknown as Parameters<typeof log.logV2>[0]);
    // The mock counts its entries, yet every one is the only one of its tree.
    return {
      logIndex: "0",
      logId: { keyId: base64(entry.logId?.keyId ?? Buffer.of()) },
      kindVersion: { kind, version: "0.0.2" },
      inclusionProof: proofOf(entry.inclusionProof?.checkpoint?.envelope ?? "", witnesses),
      canonicalizedBody: base64(entry.canonicalizedBody),
    };
  }

  async function timestampOf(
    signature: Buffer,
    { embedded = false }: BundleOptions,
  ): Promise<string> {
    if (clock !== undefined) return base64(await clock.timestamp(sha256(signature)));
    const response = await tsa.timestamp({
      artifactHash: sha256(signature),
      hashAlgorithmOID: "2.16.840.1.101.3.4.2.1",
      nonce: 1,
      policyOID: "1.2.3.4",
      certReq: embedded,
    });
    return base64(response);
  }
}

/** What a log is told of. */
interface Logged {
  /** What the signature is over. */
  readonly signed: Buffer;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** PEM. */
  readonly verifier: string;
  /** DER. */
  readonly raw: ArrayBufferView;
  readonly isCertificate: boolean;
}

/** Every proof of the mock is of a log with one entry, and its checkpoint has the root. */
function proofOf(checkpoint: string, witnesses: readonly string[]): object {
  const rootHash = checkpoint.split("\n")[2];
  const envelope = { envelope: [checkpoint, ...witnesses].join("") };
  return { logIndex: "0", treeSize: "1", rootHash, hashes: [], checkpoint: envelope };
}

/** The statement of `cosign sign`, or another. */
export function statementOf(change: object = {}): object {
  const sha256 = MANIFEST_DIGEST.slice("sha256:".length);
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ digest: { sha256 } }],
    predicateType: SIGN_PREDICATE,
    predicate: {},
    ...change,
  };
}

export function bundleSignature(json: BundleJson): BundleSignature {
  return { format: "sigstore-bundle", bytes: Buffer.from(JSON.stringify(json)), origin: "test" };
}

function keyPair(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function spkiOf(privateKey: KeyObject): Buffer {
  const { x, y } = privateKey.export({ format: "jwk" });
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(x ?? "", "base64url"),
    Buffer.from(y ?? "", "base64url"),
  ]);
  return Buffer.concat([
    Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"),
    point,
  ]);
}

function preAuthEncoding(type: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${type.length} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function pemOf(label: string, der: ArrayBufferView): string {
  return `-----BEGIN ${label}-----\n${base64(der)}\n-----END ${label}-----\n`;
}

function base64(bytes: ArrayBufferView): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
