import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Descriptor, digestOf, MEDIA_TYPE, parseManifest } from "@stowage/content";
import { parseReference, parseTag } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";

/** A key that signs images, and the file of its public half. */
export interface ImageSigner {
  readonly privateKey: KeyObject;
  readonly path: string;
}

const COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

export async function makeImageSigner(folder: string, name: string): Promise<ImageSigner> {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const path = join(folder, `${name}.pub`);
  await writeFile(path, publicKey.export({ format: "pem", type: "spki" }));
  return { privateKey, path };
}

/**
 * Signs an image as cosign 2 and skopeo do: under a tag beside it.
 *
 * @param claimed - the name that it is signed for; cosign leaves the tag out.
 */
export async function attachSignature(
  name: string,
  manifest: Descriptor,
  { privateKey }: ImageSigner,
  claimed = name,
): Promise<void> {
  const payload = Buffer.from(
    JSON.stringify({
      critical: {
        type: "cosign container image signature",
        image: { "docker-manifest-digest": manifest.digest },
        identity: { "docker-reference": claimed },
      },
      optional: null,
    }),
  );
  const signature = sign("sha256", payload, privateKey).toString("base64");
  const annotations = { "dev.cosignproject.cosign/signature": signature };
  const tag = `${manifest.digest.replace(":", "-")}.sig`;
  await push(name, tag, [{ bytes: payload, mediaType: COSIGN, annotations }], {});
}

/** Signs an image as cosign 3 does: with a bundle that refers to it. */
export async function attachBundle(
  name: string,
  manifest: Descriptor,
  { privateKey }: ImageSigner,
): Promise<void> {
  const payloadType = "application/vnd.in-toto+json";
  const payload = Buffer.from(
    JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ digest: { sha256: manifest.digest.slice("sha256:".length) } }],
      predicateType: "https://sigstore.dev/cosign/sign/v1",
      predicate: {},
    }),
  );
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  const sig = sign("sha256", Buffer.concat([Buffer.from(head), payload]), privateKey);
  const key = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const hint = createHash("sha256").update(key).digest("base64");
  const bundle = {
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType,
      signatures: [{ sig: sig.toString("base64") }],
    },
  };
  const bytes = Buffer.from(JSON.stringify(bundle));
  const title = `${digestOf(bytes).replace(":", "-")}.sigstore.json`;
  const annotations = { "org.opencontainers.image.title": title };
  // As cosign 3 writes it, field by field.
  await push(name, undefined, [{ bytes, mediaType: BUNDLE, annotations }], {
    config: { mediaType: MEDIA_TYPE.empty, artifactType: BUNDLE },
    artifactType: BUNDLE,
    subject: manifest,
    annotations: {
      "org.opencontainers.image.created": new Date().toISOString().replace(/\.\d+Z$/, "Z"),
      "dev.sigstore.bundle.content": "dsse-envelope",
      "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    },
  });
}

interface Layer {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface ManifestFields {
  /** What its descriptor says beside digest and size. */
  readonly config?: { readonly mediaType: string; readonly artifactType?: string };
  readonly [field: string]: unknown;
}

async function push(
  name: string,
  tag: string | undefined,
  layers: readonly Layer[],
  { config: about = { mediaType: MEDIA_TYPE.imageConfig }, ...more }: ManifestFields,
): Promise<void> {
  await using client = createRegistryClient({ plainHttp: true });
  const repository = client.repository(parseReference(name).repository);
  const put = async ({ bytes, mediaType, annotations }: Layer): Promise<Descriptor> => {
    const digest = digestOf(bytes);
    const descriptor = {
      mediaType,
      digest,
      size: bytes.length,
      ...(annotations && { annotations }),
    };
    await repository.pushBlob(descriptor, { openContent: () => once(bytes) });
    return descriptor;
  };
  const config = {
    ...(await put({ bytes: Buffer.from("{}"), mediaType: about.mediaType })),
    ...about,
  };
  const descriptors: Descriptor[] = [];
  for (const layer of layers) descriptors.push(await put(layer));
  const mediaType = MEDIA_TYPE.imageManifest;
  const document = { schemaVersion: 2, mediaType, config, layers: descriptors, ...more };
  const manifest = parseManifest(Buffer.from(JSON.stringify(document)));
  await repository.pushManifest(manifest, { tags: tag === undefined ? [] : [parseTag(tag)] });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
