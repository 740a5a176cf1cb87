/**
 * A store on disk: blobs, unpacked layers, images, containers, and their mounts.
 *
 * @packageDocumentation
 */
export type { BlobStore, IngestOptions } from "./blob-store.ts";
export type { TreeAspect } from "./layer/compare-trees.ts";
export type {
  CheckOptions,
  CheckReport,
  Damage,
  DamageFault,
  DamageOutcome,
  RepairSources,
  WantedBlob,
} from "./check/damage.ts";
export type { CollectedItem, CollectOptions, CollectReport } from "./collect-garbage.ts";
export type { ContainerRecord } from "./container-record.ts";
export type {
  ContainerList,
  ContainerOptions,
  ContainerStore,
  NewContainer,
  RemoveContainerOptions,
} from "./container-store.ts";
export { asContentDamage } from "./damaged-content.ts";
export type { DiskUsage, ImageUsage, KeptUsage, KindUsage } from "./disk-usage.ts";
export type { HighWaterMarks } from "./high-water-marks.ts";
export type { IdMap, IdRange } from "./id-map.ts";
export type { ImageID, ImageManifestRecord, ImageRecord } from "./image-record.ts";
export type { ImageList, ImageOptions, ImageStore } from "./image-store.ts";
export { type ImageSummary, summarizeConfig } from "./image-summary.ts";
export { isLayerID, type LayerID, layerIDOf, layerIDs, parseLayerID } from "./layer-id.ts";
export type { StoreLimits } from "./layer/layer-limits.ts";
export type { LayerRecord } from "./layer-record.ts";
export type {
  CommitLayerOptions,
  LayerStore,
  StagedLayer,
  StageLayerOptions,
} from "./layer-store.ts";
export type { Lease, LeaseOptions, ListedLease } from "./lease.ts";
export type { ListedTransfer, Transfer } from "./lease-transfer.ts";
export type {
  CountedMount,
  ListedMount,
  MountOptions,
  MountStore,
  UnmountOptions,
} from "./mount.ts";
export type { ImageName } from "./name-index.ts";
export type {
  ExportPodmanOptions,
  PodmanExport,
  RemovedPodmanExport,
} from "./podman/export-podman.ts";
export {
  openPodmanStore,
  type OpenPodmanStoreOptions,
  type PodmanDriver,
  type PodmanImage,
  type PodmanImageRecord,
  type PodmanLayer,
  type PodmanReadOptions,
  type PodmanStore,
} from "./podman/podman-source.ts";
export type { ImageInUse, RemoveImageOptions, RemoveNameOptions } from "./remove-image.ts";
export { openStore, type OpenStoreOptions, type Store, type StoreInfo } from "./store.ts";
export { StoreError, type StoreErrorCode } from "./store-error.ts";
export { asStoreError } from "./system-failure.ts";
