import type { Descriptor } from "./descriptor.ts";
import { readDescriptor } from "./descriptor.ts";
import type { JsonShape } from "./internal/json-shape.ts";

/**
 * A config and the layers that it is the config of, base first.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
 */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function readImageManifest(shape: JsonShape): ImageManifest {
  const layers = shape.children("layers").map(readDescriptor);
  const seen = new Map<string, Descriptor>();
  for (const layer of layers) {
    const twin = seen.get(layer.digest);
    if (twin && (twin.size !== layer.size || twin.mediaType !== layer.mediaType)) {
      shape.fail(`names ${layer.digest} with two sizes or media types`, "layers");
    }
    seen.set(layer.digest, layer);
  }
  return {
    schemaVersion: 2,
    ...(shape.has("mediaType") && { mediaType: shape.string("mediaType") }),
    ...(shape.has("artifactType") && { artifactType: shape.string("artifactType") }),
    config: readDescriptor(shape.child("config")),
    layers,
    ...(shape.has("subject") && { subject: readDescriptor(shape.child("subject")) }),
    ...(shape.has("annotations") && { annotations: shape.stringMap("annotations") }),
  };
}
