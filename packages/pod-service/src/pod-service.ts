import {
  createContainer,
  type CreateContainerOptions,
  deleteContainer,
  getContainer,
  getMetadata,
  setMetadata,
  startContainer,
  type StartContainerOptions,
  type StartedContainer,
  stopContainer,
  type StopContainerOptions,
} from "./container.ts";
import type { ContainerMetadata } from "./container-metadata.ts";
import { containerStatus, type ContainerStatus, listContainers } from "./container-status.ts";
import type { CreatedContainer } from "./create-member.ts";
import type { PodContext } from "./pod-context.ts";
import {
  createPodSandbox,
  type CreatePodSandboxOptions,
  getPod,
  listPods,
  type PodStatus,
  removePod,
} from "./pod-sandbox.ts";
import type { ImageLookup, PodStore, WaitOptions } from "./ports.ts";
import { type RestoredPods, restorePods } from "./restore-pods.ts";

/** What {@link createPodService} needs. */
export interface PodServiceOptions {
  readonly store: PodStore;
  readonly images: ImageLookup;
  /** The image of infra containers. Without one they have no image and no root file system. */
  readonly pauseImage?: string | undefined;
  /** Told what went wrong beside the thing that was asked for. Nobody, unless given. */
  readonly onWarning?: ((message: string, cause?: unknown) => void) | undefined;
}

/**
 * Pods and their containers, over the records of one store.
 *
 * Wherever an `idOrName` is taken, an ID, a name, or an unambiguous prefix of an ID will do; an
 * empty one is `ERR_POD_INVALID_CONTAINER_ID`.
 */
export interface PodService {
  /**
   * Makes a pod: its infra container, whose ID is the pod's and which answers to both names. The
   * pause image is pulled if it is missing.
   *
   * @throws {@link PodError} `ERR_POD_INVALID_POD_NAME`, `ERR_POD_INVALID_CONTAINER_NAME`,
   *   `ERR_POD_DUPLICATE_NAME`, `ERR_POD_DUPLICATE_ID`; nothing is left of a creation that fails.
   */
  createPodSandbox(options: CreatePodSandboxOptions): Promise<CreatedContainer>;
  /**
   * Makes a container in a pod, from an image that is here and that policy allows now. Never pulls.
   *
   * @throws {@link PodError} `ERR_POD_SANDBOX_NOT_FOUND`, `ERR_POD_INVALID_IMAGE_NAME`,
   *   `ERR_POD_INVALID_CONTAINER_ID`, and as {@link PodService.createPodSandbox} does.
   */
  createContainer(options: CreateContainerOptions): Promise<CreatedContainer>;
  /**
   * Mounts a container's root. Each start counts, and the mount point stays the same.
   *
   * @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND`, `ERR_POD_INVALID_METADATA`,
   *   `ERR_POD_NO_ROOT_FILESYSTEM` for an infra container without an image,
   *   `ERR_POD_LABEL_UNSUPPORTED` if it has a mount label and the store cannot mount with one.
   */
  startContainer(idOrName: string, options?: StartContainerOptions): Promise<StartedContainer>;
  /** Unmounts a container, however often it was started. One that is not there is fine. */
  stopContainer(idOrName: string, options?: StopContainerOptions): Promise<void>;
  /**
   * Removes a container with its layer and directories; false if it was not there, which is fine.
   *
   * @throws {@link PodError} `ERR_POD_NOT_EMPTY` for the infra container of a pod with others.
   */
  deleteContainer(idOrName: string, options?: WaitOptions): Promise<boolean>;
  /** @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND`, `ERR_POD_INVALID_METADATA` */
  containerStatus(idOrName: string, options?: WaitOptions): Promise<ContainerStatus>;
  /** Every container of every pod, oldest first. */
  listContainers(options?: WaitOptions): Promise<readonly ContainerStatus[]>;
  /** @throws {@link PodError} `ERR_POD_SANDBOX_NOT_FOUND` */
  podStatus(idOrName: string): Promise<PodStatus>;
  /** Every pod, oldest first. */
  listPods(): Promise<readonly PodStatus[]>;
  /** Removes a pod with its containers; gives their IDs. One that is not there is fine. */
  removePod(idOrName: string, options?: WaitOptions): Promise<readonly string[]>;
  /** @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND`, `ERR_POD_INVALID_METADATA` */
  getMetadata(idOrName: string): Promise<ContainerMetadata>;
  /**
   * Replaces what is remembered. Between a read and a write of two callers, the last one wins.
   *
   * @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND`; `ERR_POD_IMMUTABLE_METADATA` if the
   *   pod, the image or the names would change.
   */
  setMetadata(idOrName: string, metadata: ContainerMetadata): Promise<void>;
  /** Where a container keeps what shall last. @throws {@link PodError} `ERR_POD_CONTAINER_NOT_FOUND` */
  getWorkDir(idOrName: string): Promise<string>;
  /** Where a container keeps what a reboot may take. Made if it is gone. */
  getRunDir(idOrName: string): Promise<string>;
  /** Takes up what an earlier process left, once, before the first request. */
  restore(options?: WaitOptions): Promise<RestoredPods>;
}

/** A service over `options.store`. It holds nothing open, and many may use one store. */
export function createPodService(options: PodServiceOptions): PodService {
  const context: PodContext = {
    store: options.store,
    images: options.images,
    pauseImage: options.pauseImage,
    onWarning: options.onWarning ?? (() => {}),
  };
  return {
    createPodSandbox: (sandbox) => createPodSandbox(context, sandbox),
    createContainer: (container) => createContainer(context, container),
    startContainer: (idOrName, start = {}) => startContainer(context, idOrName, start),
    stopContainer: (idOrName, stop = {}) => stopContainer(context, idOrName, stop),
    deleteContainer: (idOrName, wait = {}) => deleteContainer(context, idOrName, wait),
    containerStatus: (idOrName, wait = {}) => containerStatus(context, idOrName, wait),
    listContainers: (wait = {}) => listContainers(context, wait),
    podStatus: (idOrName) => getPod(context, idOrName),
    listPods: () => listPods(context),
    removePod: (idOrName, wait = {}) => removePod(context, idOrName, wait),
    getMetadata: (idOrName) => getMetadata(context, idOrName),
    setMetadata: (idOrName, metadata) => setMetadata(context, idOrName, metadata),
    getWorkDir: async (idOrName) => {
      return context.store.containers.workDir((await getContainer(context, idOrName)).id);
    },
    getRunDir: async (idOrName) => {
      const { id } = await getContainer(context, idOrName);
      return context.store.containers.ensureRunDir(id);
    },
    restore: (wait = {}) => restorePods(context, wait),
  };
}
