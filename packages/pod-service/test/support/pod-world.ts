import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Descriptor, digestOf, type ImageConfig, MEDIA_TYPE } from "@stowage/content";
import {
  createPodService,
  type ImageLookup,
  type LocalImage,
  type PodService,
  type PodStore,
} from "@stowage/pod-service";
import { openStore, type Store } from "@stowage/store";

/** Mounting takes root; what needs it says so in its name where it cannot. */
export const CAN_MOUNT = process.getuid?.() === 0;

/** A store on disk with one image in it, and a pod service over it. */
export interface PodWorld extends AsyncDisposable {
  readonly root: string;
  readonly runRoot: string;
  readonly store: Store;
  readonly pods: PodService;
  readonly image: LocalImage;
  /** What was pulled, in order. */
  readonly pulled: readonly string[];
  /** What policy was asked about, in order. */
  readonly checked: readonly string[];
  readonly warnings: readonly string[];
  /** Loses what a reboot loses, and opens the store again. */
  reboot(): Promise<PodService>;
  /** A service over the same store, with something in its ports replaced. */
  with(changes: {
    readonly store?: (store: Store) => PodStore;
    readonly images?: Partial<ImageLookup>;
    readonly pauseImage?: string;
  }): PodService;
}

export const IMAGE_NAME = "registry.example/app:1";
export const PAUSE_IMAGE = "registry.example/pause:3.9";
export const CANONICAL = `registry.example/app@sha256:${"d".repeat(64)}`;

/** Makes a world; everything in it goes when its scope ends. */
export async function createPodWorld(): Promise<PodWorld> {
  const base = await realpath(await mkdtemp(join(tmpdir(), "stowage-pods-")));
  const root = join(base, "root");
  const runRoot = join(base, "run");
  let store = await openStore({ root, runRoot });
  const image = await putImage(store, base);
  const pulled: string[] = [];
  const checked: string[] = [];
  const warnings: string[] = [];
  const here = new Set<string>([IMAGE_NAME, image.id]);
  const images: ImageLookup = {
    async requireImage(nameOrId) {
      if (!here.has(nameOrId)) throw new Error(`${nameOrId}: not here`);
      return image;
    },
    async ensureImage(name) {
      if (!here.has(name)) pulled.push(name);
      here.add(name);
      return { ...image, name };
    },
    async requireAllowed({ name }) {
      checked.push(name);
    },
  };
  const withChanges: PodWorld["with"] = (changes) =>
    createPodService({
      store: changes.store?.(store) ?? store,
      images: { ...images, ...changes.images },
      pauseImage: changes.pauseImage,
      onWarning: (message) => warnings.push(message),
    });
  return {
    root,
    runRoot,
    get store() {
      return store;
    },
    image,
    pulled,
    checked,
    warnings,
    pods: withChanges({}),
    with: withChanges,
    async reboot() {
      for (const { id } of (await store.containers.list()).containers) {
        await store.mounts.unmountContainer(id, { force: true });
      }
      await store[Symbol.asyncDispose]();
      await rm(runRoot, { recursive: true });
      store = await openStore({ root, runRoot });
      return withChanges({});
    },
    async [Symbol.asyncDispose]() {
      const { containers } = await store.containers.list();
      for (const { id } of containers) await store.containers.remove(id);
      await store[Symbol.asyncDispose]();
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** A pod named `p` with a container named `d` in it. */
export async function createPodWithContainer(
  pods: PodService,
): Promise<{ readonly podId: string; readonly id: string }> {
  const { id: podId } = await pods.createPodSandbox({ podName: "p", containerName: "c" });
  const { id } = await pods.createContainer({ podId, containerName: "d", imageName: IMAGE_NAME });
  return { podId, id };
}

/** An ID made of one hex digit. */
export function idOf(digit: string): string {
  return digit.repeat(64);
}

async function putImage(store: Store, base: string): Promise<LocalImage> {
  const tree = join(base, "tree");
  await mkdir(tree);
  await writeFile(join(tree, "hello"), "hello");
  const tar = execFileSync("tar", ["-C", tree, "-cf", "-", "hello"]);
  const diffID = digestOf(tar);
  const blob = { mediaType: MEDIA_TYPE.layerTar, digest: diffID, size: tar.length };
  await store.blobs.write(blob, once(tar));
  await using staged = await store.layers.stage(blob, diffID);
  const layer = await store.layers.commit(staged);
  const config: ImageConfig = { rootfs: { type: "layers", diff_ids: [diffID] } };
  const descriptor = await writeJson(store, MEDIA_TYPE.imageConfig, config);
  const id = descriptor.digest;
  const mediaType = MEDIA_TYPE.imageManifest;
  const document = { schemaVersion: 2, mediaType, config: descriptor, layers: [blob] };
  const manifest = await writeJson(store, mediaType, document);
  const created = new Date().toISOString();
  await store.images.put({
    version: 1,
    id,
    config: descriptor,
    manifests: [{ manifest }],
    layers: [layer.id],
    created,
  });
  return { id, name: IMAGE_NAME, topLayer: layer.id, config, canonical: CANONICAL };
}

async function writeJson(store: Store, mediaType: string, value: object): Promise<Descriptor> {
  const text = Buffer.from(JSON.stringify(value));
  const descriptor = { mediaType, digest: digestOf(text), size: text.length };
  await store.blobs.write(descriptor, once(text));
  return descriptor;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
