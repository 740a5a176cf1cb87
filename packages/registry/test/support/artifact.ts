import { type Descriptor, type Digest, digestOf, MEDIA_TYPE } from "@stowage/content";
import type { BuiltImage } from "@stowage/testkit";

/** An artifact with one text, which refers to a manifest. */
export function buildArtifact(subject: Descriptor, artifactType: string, text: string): BuiltImage {
  const blobs = new Map<Digest, { readonly mediaType: string; readonly bytes: Uint8Array }>();
  const add = (mediaType: string, bytes: Uint8Array): Descriptor => {
    blobs.set(digestOf(bytes), { mediaType, bytes });
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  };
  const mediaType = MEDIA_TYPE.imageManifest;
  const { digest, size } = subject;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      artifactType,
      config: add(MEDIA_TYPE.empty, Buffer.from("{}")),
      layers: [add("text/plain", Buffer.from(text))],
      subject: { mediaType: subject.mediaType, digest, size },
    }),
  );
  return { descriptor: add(mediaType, manifest), manifest, blobs };
}
