import { type Descriptor, parseManifest, parsePlatform } from "@stowage/content";
import { buildImage, type BuiltImage } from "@stowage/testkit";

/** A small image that says which platform it is for. */
export function imageFor(platform: string): BuiltImage {
  const layers = [{ entries: [{ name: "which", content: platform }] }];
  return buildImage({ layers, platform: parsePlatform(platform) });
}

/** Its config and its layers. */
export function contentOf({ manifest }: BuiltImage): readonly Descriptor[] {
  const { document } = parseManifest(manifest);
  if (document.kind !== "manifest") return [];
  return [document.manifest.config, ...document.manifest.layers];
}
