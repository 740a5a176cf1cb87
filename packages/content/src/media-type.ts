/**
 * The media types of images, in OCI's and Docker's spelling.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md
 * @module
 */
export const MEDIA_TYPE = {
  imageManifest: "application/vnd.oci.image.manifest.v1+json",
  imageIndex: "application/vnd.oci.image.index.v1+json",
  imageConfig: "application/vnd.oci.image.config.v1+json",
  layerTar: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  nondistributableTar: "application/vnd.oci.image.layer.nondistributable.v1.tar",
  nondistributableGzip: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  nondistributableZstd: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  empty: "application/vnd.oci.empty.v1+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayerTar: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerForeignLayer: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+json",
  dockerSchema1Signed: "application/vnd.docker.distribution.manifest.v1+prettyjws",
} as const;

const LAYER_TYPES: ReadonlySet<string> = new Set([
  MEDIA_TYPE.layerTar,
  MEDIA_TYPE.layerGzip,
  MEDIA_TYPE.layerZstd,
  MEDIA_TYPE.nondistributableTar,
  MEDIA_TYPE.nondistributableGzip,
  MEDIA_TYPE.nondistributableZstd,
  MEDIA_TYPE.dockerLayerTar,
  MEDIA_TYPE.dockerLayer,
  MEDIA_TYPE.dockerForeignLayer,
]);

export function isImageManifestMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.imageManifest || mediaType === MEDIA_TYPE.dockerManifest;
}

/** Whether it is an OCI index or what Docker calls a manifest list. */
export function isImageIndexMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.imageIndex || mediaType === MEDIA_TYPE.dockerManifestList;
}

export function isImageConfigMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.imageConfig || mediaType === MEDIA_TYPE.dockerConfig;
}

/** Whether it names a change set that can be unpacked; encrypted ones cannot. */
export function isLayerMediaType(mediaType: string): boolean {
  return LAYER_TYPES.has(mediaType);
}
