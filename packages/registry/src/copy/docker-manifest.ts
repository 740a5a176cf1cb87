/**
 * `manifest.json`, by which `docker save` and `docker load` tell images.
 *
 * @see https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
 * @module
 */
import {
  type ByteSource,
  ContentError,
  type ContentProvider,
  createDigester,
  type Descriptor,
  type Digest,
  digestOf,
  type ImageManifest,
  type JsonValue,
  MEDIA_TYPE,
  parseJsonDocument,
} from "@stowage/content";

import type { OpenedArchive } from "./archive-source.ts";
import { blobFile, invalidLayout, type LayoutIndex, parseLayoutIndex } from "./oci-layout.ts";
import type { ArchivedFile } from "./tar-index.ts";

export const DOCKER_MANIFEST_FILE = "manifest.json";

const MAX_BYTES = 4 * 1024 * 1024;
const NAME = "org.opencontainers.image.ref.name";

interface SavedImage {
  readonly config: string;
  readonly names: readonly string[];
  readonly layers: readonly string[];
}

/** The bytes of `manifest.json` for an image whose files lie as in a layout. */
export function formatDockerManifest(
  { config, layers }: ImageManifest,
  name: string | undefined,
): Uint8Array {
  const entry = {
    Config: blobFile(config.digest),
    RepoTags: name === undefined ? null : [name],
    Layers: layers.map(({ digest }) => blobFile(digest)),
  };
  return Buffer.from(JSON.stringify([entry]));
}

/**
 * Reads an archive that is no layout as one. Manifests are made for it, as registries would want
 * them: the archive holds none, so their digests are known to nobody yet.
 */
export async function buildDockerLayout(
  archive: OpenedArchive,
): Promise<{ readonly index: LayoutIndex; readonly content: ContentProvider }> {
  const made = new Map<Digest, Uint8Array>();
  const held = new Map<Digest, ArchivedFile>();
  const manifests: Descriptor[] = [];
  for (const image of await readSavedImages(archive)) {
    const config = { ...(await describe(archive, held, image.config)) };
    const layers: Descriptor[] = [];
    for (const layer of image.layers) layers.push(await describe(archive, held, layer));
    const document = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.dockerManifest,
      config: { ...config, mediaType: MEDIA_TYPE.dockerConfig },
      layers,
    };
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    made.set(digest, bytes);
    const descriptor = { mediaType: MEDIA_TYPE.dockerManifest, digest, size: bytes.length };
    const names = image.names.length === 0 ? [undefined] : image.names;
    for (const name of names) {
      manifests.push(
        name === undefined ? descriptor : { ...descriptor, annotations: { [NAME]: name } },
      );
    }
  }
  const { document } = parseLayoutIndex(undefined, archive.where);
  const content: ContentProvider = {
    openContent: async function* ({ digest }, options = {}) {
      const bytes = made.get(digest);
      const file = held.get(digest);
      if (bytes !== undefined) yield bytes.subarray(options.offset ?? 0);
      else if (file !== undefined) yield* archive.read(file, options);
      else throw new ContentError("ERR_CONTENT_NOT_FOUND", `${digest}: not in ${archive.where}`);
    },
  };
  return { index: { document, manifests }, content };
}

async function describe(
  archive: OpenedArchive,
  held: Map<Digest, ArchivedFile>,
  name: string,
): Promise<Descriptor> {
  const file = archive.files.get(name);
  if (file === undefined) throw invalidLayout(archive.where, `it lacks ${name}`);
  const digester = createDigester("sha256");
  let head: Uint8Array | undefined;
  for await (const chunk of archive.read(file) satisfies ByteSource) {
    head ??= chunk.subarray(0, 4);
    digester.update(chunk);
  }
  const digest = digester.digest();
  held.set(digest, file);
  return { mediaType: layerType(head), digest, size: file.size };
}

function layerType(head: Uint8Array | undefined): string {
  if (head?.[0] === 0x1f && head[1] === 0x8b) return MEDIA_TYPE.dockerLayer;
  const isZstd = head !== undefined && Buffer.from(head).readUInt32LE?.(0) === 0xfd2fb528;
  return isZstd ? MEDIA_TYPE.layerZstd : MEDIA_TYPE.dockerLayerTar;
}

async function readSavedImages(archive: OpenedArchive): Promise<readonly SavedImage[]> {
  const bytes = await archive.readSmall(DOCKER_MANIFEST_FILE);
  if (bytes === undefined) {
    throw invalidLayout(archive.where, "it holds no image: neither index.json nor manifest.json");
  }
  let json: JsonValue;
  try {
    json = parseJsonDocument(bytes, { maxBytes: MAX_BYTES });
  } catch (cause) {
    throw invalidLayout(archive.where, "its manifest.json is no JSON document", cause);
  }
  if (!Array.isArray(json)) throw invalidLayout(archive.where, "its manifest.json is no list");
  return (json as readonly JsonValue[]).map((entry) => {
    const fields = new Map(
      typeof entry === "object" && entry !== null ? Object.entries(entry) : [],
    );
    const config = fields.get("Config");
    const layers = textsOf(fields.get("Layers") ?? []);
    const names = textsOf(fields.get("RepoTags") ?? []);
    if (typeof config !== "string" || layers === undefined || names === undefined) {
      throw invalidLayout(archive.where, "its manifest.json has an entry that is no image");
    }
    return { config, layers, names };
  });
}

function textsOf(value: JsonValue): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const texts = (value as readonly JsonValue[]).filter((text) => typeof text === "string");
  return texts.length === value.length ? texts : undefined;
}
