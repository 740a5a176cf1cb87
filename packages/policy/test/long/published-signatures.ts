/**
 * Holds the judges of signatures to examples that others published: `pnpm test:published-signatures
 * FOLDER`. FOLDER is `signature/fixtures` of a checkout of containers/image, which is no part of this
 * tree: cosign's and skopeo's signatures with keys, with Fulcio and Rekor and with an authority of
 * one's own, and gpg's. Needs no network. Those of cosign are also held against what the signers of
 * the tests write: field by field, and how each is written.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { type Digest, digestOf } from "@stowage/content";
import { type ImageSignature, parseSignatureBlob, type SigstoreSignature } from "@stowage/policy";

import { judgeOne } from "../support/judged-image.ts";
import {
  BUNDLE,
  CERTIFICATE,
  CHAIN,
  COSIGN_PAYLOAD,
  cosignPayload,
  cosignSign,
  logEntry,
  makeSigner,
  SIGNATURE,
} from "../support/sigstore-signer.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: test:published-signatures FOLDER");
const path = (...names: readonly string[]): string => join(folder, ...names);

const REGISTRY = "192.168.64.2:5000";
const SINGLE = `${REGISTRY}/cosign-signed-single-sample`;
const matchRepository = { type: "matchRepository" };
const byKey = { type: "sigstoreSigned", keyPath: path("cosign.pub") };
const bare = { ...byKey, signedIdentity: matchRepository };
const rekor = { rekorPublicKeyPath: path("rekor.pub") };
const keyAndLog = { ...bare, keyPath: path("cosign2.pub"), ...rekor };
const fulcio = (subjectEmail: string): object => ({
  type: "sigstoreSigned",
  fulcio: {
    caPath: path("fulcio_v1.crt.pem"),
    oidcIssuer: "https://github.com/login/oauth",
    subjectEmail,
  },
  ...rekor,
  signedIdentity: matchRepository,
});
const pki = (who: object): object => ({
  type: "sigstoreSigned",
  pki: { caRootsPath: path("pki_root_crts.pem"), ...who },
  signedIdentity: matchRepository,
});
const byGpg = (...names: readonly string[]): object => ({
  type: "signedBy",
  keyType: "GPGKeys",
  keyPaths: names.map((name) => path(name)),
});

type Example = readonly [
  file: string,
  manifest: string,
  image: string,
  requirement: object,
  counts: boolean,
];

const inFolder = (
  name: string,
  image: string,
  requirement: object,
  counts: boolean,
  n = 1,
): Example => [`${name}/signature-${n}`, `${name}/manifest.json`, image, requirement, counts];

const gpg = (file: string, requirement: object, counts: boolean): Example => [
  file,
  "image.manifest.json",
  "testing/manifest:latest",
  requirement,
  counts,
];

/** Whether each counts is what the tests of containers/image say, but for one that says so. */
const EXAMPLES: readonly Example[] = [
  inFolder("dir-img-cosign-valid", SINGLE, bare, true),
  inFolder("dir-img-cosign-valid", SINGLE, byKey, false),
  inFolder("dir-img-cosign-valid", `${REGISTRY}/other`, bare, false),
  inFolder("dir-img-cosign-valid", SINGLE, { ...bare, keyPath: path("some-rsa-key.pub") }, false),
  inFolder("dir-img-cosign-valid-2", SINGLE, bare, true),
  inFolder("dir-img-cosign-valid-2", SINGLE, bare, true, 2),
  inFolder("dir-img-cosign-valid-with-tag", `${REGISTRY}/skopeo-signed:tag`, byKey, true),
  inFolder("dir-img-cosign-valid-with-tag", `${REGISTRY}/skopeo-signed:other`, byKey, false),
  inFolder("dir-img-cosign-mixed", SINGLE, bare, false),
  inFolder("dir-img-cosign-mixed", SINGLE, bare, true, 2),
  inFolder("dir-img-cosign-modified-manifest", SINGLE, bare, false),
  inFolder("dir-img-cosign-manifest-digest-error", SINGLE, bare, false),
  inFolder("dir-img-cosign-other-attachment", SINGLE, bare, false),
  ["unknown-cosign-key.signature", "dir-img-cosign-valid/manifest.json", SINGLE, bare, false],
  inFolder("dir-img-cosign-key-rekor-valid", `${REGISTRY}/cosign-signed/key-1`, keyAndLog, true),
  inFolder("dir-img-cosign-valid", SINGLE, { ...bare, ...rekor }, false),
  ...(["mitr@redhat.com", "this-does-not-match@example.com"] as const).map((email, index) =>
    inFolder(
      "dir-img-cosign-fulcio-rekor-valid",
      `${REGISTRY}/cosign-signed/fulcio-rekor-1`,
      fulcio(email),
      index === 0,
    ),
  ),
  ...(
    [
      [{ subjectEmail: "qiwan@redhat.com" }, true],
      [{ subjectEmail: "qiwan@redhat.com", subjectHostname: "myhost.example.com" }, true],
      [
        {
          subjectHostname: "myhost.example.com",
          caIntermediatesPath: path("pki_intermediate_crts.pem"),
        },
        true,
      ],
      [{ subjectEmail: "this-does-not-match@example.com" }, false],
    ] as const
  ).map(([who, counts]) =>
    inFolder("dir-img-cosign-pki-valid", "localhost:5000/test", pki(who), counts),
  ),
  gpg("image.signature", { ...byGpg("public-key.gpg"), signedIdentity: matchRepository }, true),
  gpg("image.signature", { ...byGpg("public-key-2.gpg"), signedIdentity: matchRepository }, false),
  gpg(
    "no-optional-fields.signature",
    { ...byGpg("public-key.gpg"), signedIdentity: matchRepository },
    true,
  ),
  gpg("corrupt.signature", byGpg("public-key.gpg"), false),
  gpg("corrupt.signature-v3", byGpg("public-key.gpg"), false),
  gpg("invalid-blob.signature", byGpg("public-key.gpg"), false),
  gpg("invalid-blob.signature-v3", byGpg("public-key.gpg"), false),
  gpg("invalid-reference.signature", byGpg("public-key.gpg"), false),
  gpg("expired.signature", byGpg("public-key.gpg"), false),
  gpg("unknown-key.signature", byGpg("public-key.gpg"), false),
  gpg("unsigned-encrypted.signature", byGpg("public-key.gpg"), false),
  gpg("unsigned-literal.signature", byGpg("public-key.gpg"), false),
  gpg("subkey.signature", byGpg("public-key-with-subkey.gpg"), true),
  // Of OpenPGP's version 3, which nobody has written for twenty years, and which count for nothing.
  gpg("subkey.signature-v3", byGpg("public-key-with-subkey.gpg"), false),
  gpg("subkey-revoked.signature", byGpg("public-key-with-revoked-subkey.gpg"), false),
  inFolder("dir-img-valid", "testing/manifest:latest", byGpg("public-key.gpg"), true),
  inFolder("dir-img-valid-2", "testing/manifest:latest", byGpg("public-key.gpg"), true, 2),
  inFolder("dir-img-modified-manifest", "testing/manifest:latest", byGpg("public-key.gpg"), false),
];

let wrong = 0;
for (const [file, manifest, image, requirement, counts] of EXAMPLES) {
  const digest = manifestDigest(readFileSync(path(manifest)));
  const { allowed, reason } = await judge(file, requirement, image, digest);
  if (allowed !== counts) wrong += 1;
  const how = allowed === counts ? "" : " NOT AS ITS PUBLISHERS SAY";
  console.log(`${allowed ? "counts  " : "rejected"} ${file} of ${image}: ${reason}${how}`);
}

const ours = formOf(everythingOurs());
const names = ["valid", "key-rekor-valid", "fulcio-rekor-valid", "pki-valid"];
const theirs = names.flatMap((name) => {
  const file = path(`dir-img-cosign-${name}`, "signature-1");
  return existsSync(file) ? [[name, formOf(read(file))] as const] : [];
});
let strange = 0;
for (const [name, form] of theirs) {
  for (const line of form) {
    if (ours.includes(line)) continue;
    strange += 1;
    console.log(`not as the tests' signers write: ${name}: ${line}`);
  }
}
console.log(JSON.stringify({ examples: EXAMPLES.length, wrong, forms: theirs.length, strange }));
if (wrong + strange > 0) process.exitCode = 1;

async function judge(
  file: string,
  requirement: object,
  image: string,
  digest: Digest,
): Promise<{ readonly allowed: boolean; readonly reason: string }> {
  let signature: ImageSignature;
  try {
    signature = parseSignatureBlob(readFileSync(path(file)), file);
  } catch (error) {
    return { allowed: false, reason: String(error) };
  }
  return await judgeOne(requirement, signature, { image, digest });
}

/** As Docker names manifests of schema 1: without their signatures. */
function manifestDigest(bytes: Buffer): Digest {
  const { schemaVersion, signatures } = JSON.parse(bytes.toString());
  if (schemaVersion !== 1 || !Array.isArray(signatures)) return digestOf(bytes);
  const { formatLength, formatTail } = JSON.parse(
    Buffer.from(signatures[0].protected, "base64url").toString(),
  );
  const tail = Buffer.from(formatTail, "base64url");
  return digestOf(Buffer.concat([bytes.subarray(0, formatLength), tail]));
}

function read(file: string): SigstoreSignature {
  const signature = parseSignatureBlob(readFileSync(file), file);
  if (signature.format !== "sigstore-attachment") throw new Error(`${file} is no attachment`);
  return signature;
}

/** One of the tests' with all that one can have. */
function everythingOurs(): SigstoreSignature {
  const signer = makeSigner();
  const good = cosignSign(signer, { payload: cosignPayload({ name: "q.io/a/b" }) });
  const signature = good.annotations[SIGNATURE] ?? "";
  const certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const entry = logEntry(makeSigner(), { signature, verifier: signer.pem });
  const more = { [BUNDLE]: entry, [CERTIFICATE]: certificate, [CHAIN]: certificate };
  return { ...good, annotations: { ...good.annotations, ...more } };
}

/** The fields of a signature, in their order, and how each is written. */
function formOf({ mimeType, payload, annotations }: SigstoreSignature): readonly string[] {
  const entry = annotations[BUNDLE];
  const body = entry && Buffer.from(JSON.parse(entry).Payload.body, "base64").toString();
  return [
    `type ${mimeType}`,
    `payload ${shapeOf(payload.toString())}`,
    ...Object.entries(annotations).map(([key, text]) =>
      key === BUNDLE ? `${key} ${shapeOf(text)}` : `${key} ${writingOf(text)}`,
    ),
    ...(body ? [`entry ${shapeOf(body)}`] : []),
  ];
}

/** JSON with its spaces and the order of its keys, and of its values only how they are written. */
function shapeOf(text: string): string {
  return text
    .replaceAll(/(?<=:)"((?:[^"\\]|\\.)*)"/g, (_, value: string) => writingOf(value))
    .replaceAll(/(?<=:)\d+/g, "decimal");
}

function writingOf(text: string): string {
  if (text === COSIGN_PAYLOAD || /^(?:0\.0\.1|hashedrekord|sha256)$/.test(text)) return text;
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return "digest";
  if (/^[0-9a-f]{64}$/.test(text)) return "hexadecimal";
  // Chains come with and without their last line end.
  if (/^-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----\n?$/.test(text)) return "PEM";
  const isBase64 = Buffer.from(text, "base64").toString("base64") === text.replaceAll("\n", "");
  return isBase64 && text.length > 40 ? "base64" : "text";
}
