/**
 * A registry and stores to crash in: each state that a command begins with is made once, and copied
 * to where it is needed.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { createMemoryContentStore, digestOf } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import { createRuntime } from "@stowage/runtime-shim";
import { createTar, putImage, tempDir } from "@stowage/testkit";

import { APP, type CrashImage, OTHER } from "./crash-images.ts";
import { changeDamagedFile, damageStore } from "./damage-store.ts";
import { mustRunHere, type StowagePlace } from "./stowage.ts";

const run = promisify(execFile);

/**
 * What a store holds when a command begins. In all but the first, an image with another name for it
 * and a container have been acknowledged, and must outlive whatever comes.
 */
export type StateName =
  | "created"
  | "damaged"
  | "garbage"
  | "nothing"
  | "pulled"
  | "seed"
  | "tagged";

/** Where everything is, and what it is called. */
export interface CrashWorld extends AsyncDisposable {
  readonly path: string;
  /** The name of the image that commands are about; it shares a layer with the one that is kept. */
  readonly app: string;
  readonly other: string;
  readonly appFiles: CrashImage["files"];
  readonly otherFiles: CrashImage["files"];
  /** Where the command works unless it is told otherwise. */
  readonly place: StowagePlace;
  /** A place like {@link CrashWorld.place} with its roots elsewhere. */
  placeAt(root: string, runRoot: string): StowagePlace;
  /** Fills an empty or missing root and run root with a state. */
  restore(state: StateName, place: StowagePlace): Promise<void>;
}

/** Another name for the image that is kept. */
export const KEPT_NAME = "localhost/kept:1";
/** The name that `tag` gives. */
export const NEW_NAME = "localhost/new:1";
export const POD = "pod";
/** The container that is kept. */
export const KEEPER = "keeper";
/** The container that commands are about. */
export const SUBJECT = "subject";

export async function openCrashWorld(): Promise<CrashWorld> {
  const folder = await tempDir("stowage-crash-");
  const { path } = folder;
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const server = createRegistryServer({ content, tags });
  const { host } = await server.listen();
  await tags.put("ns/app", await putImage(content, APP.spec), "1");
  await tags.put("ns/other", await putImage(content, OTHER.spec), "1");
  const [policy, authfile] = [join(path, "policy.json"), join(path, "auth.json")];
  await writeFile(policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
  await writeFile(authfile, "{}");
  const placeAt: CrashWorld["placeAt"] = (root, runRoot) => ({
    root,
    runRoot,
    policy,
    authfile,
    exportDir: join(dirname(root), "export"),
  });
  const place = placeAt(join(path, "root"), join(path, "run"));
  const app = `${host}/ns/app:1`;
  const other = `${host}/ns/other:1`;
  const made = new Map<StateName, Promise<void>>();
  const stateAt = (state: StateName) => join(path, "states", state);

  /** Makes a state in the place of the world, where its absolute paths will be right. */
  async function make(state: StateName): Promise<void> {
    await clear(place);
    const before = PREDECESSOR[state];
    if (before !== undefined) await restore(before, place);
    if (state === "seed") {
      await mustRunHere(place, "pull", "--tls-verify=false", other);
      await mustRunHere(place, "tag", other, KEPT_NAME);
      await mustRunHere(place, "pod", "create", POD);
      await mustRunHere(place, "create", "--pod", POD, "--name", KEEPER, other);
    }
    if (state === "pulled") await mustRunHere(place, "pull", "--tls-verify=false", app);
    if (state === "tagged") await mustRunHere(place, "tag", app, NEW_NAME);
    if (state === "created") {
      await mustRunHere(place, "create", "--pod", POD, "--name", SUBJECT, app);
    }
    if (state === "garbage") await litter(place);
    if (state === "damaged") await damageStore(place, app, NEW_NAME);
    await mkdir(stateAt(state), { recursive: true });
    await copyTree(place.root, join(stateAt(state), "root"));
    await copyTree(place.runRoot, join(stateAt(state), "run"));
    await clear(place);
  }

  async function restore(state: StateName, to: StowagePlace): Promise<void> {
    if (state === "nothing") return;
    let making = made.get(state);
    if (making === undefined) {
      making = make(state);
      made.set(state, making);
    }
    await making;
    await copyTree(join(stateAt(state), "root"), to.root);
    await copyTree(join(stateAt(state), "run"), to.runRoot);
    if (state === "damaged") changeDamagedFile(to.root);
  }

  return {
    path,
    app,
    other,
    appFiles: APP.files,
    otherFiles: OTHER.files,
    place,
    placeAt,
    async restore(state, to) {
      await clear(to);
      await restore(state, to);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await unmountBelow(path);
      await folder[Symbol.asyncDispose]();
    },
  };
}

const PREDECESSOR: Readonly<Record<StateName, StateName | undefined>> = {
  nothing: undefined,
  seed: undefined,
  pulled: "seed",
  created: "pulled",
  tagged: "pulled",
  garbage: "seed",
  damaged: "tagged",
};

/** Leaves a blob, a layer and the beginning of a download behind that nothing needs. */
async function litter(place: StowagePlace): Promise<void> {
  const { root, runRoot, policy, authfile } = place;
  await using runtime = await createRuntime({ root, runRoot, policyPath: policy, authfile });
  const { blobs, layers } = runtime.store;
  const tar = createTar([
    { name: "waste/", type: "directory" },
    { name: "waste/file", content: "waste ".repeat(1000) },
  ]);
  const digest = digestOf(tar);
  const mediaType = "application/vnd.oci.image.layer.v1.tar";
  const descriptor = { mediaType, digest, size: tar.length };
  await blobs.write(descriptor, once(tar));
  await using staged = await layers.stage(descriptor, digest);
  await layers.commit(staged);
  const begun = randomBytes(1000);
  const claim = { mediaType, digest: digestOf(begun), size: begun.length };
  await blobs
    .ingest(claim, { openContent: () => breakOff(begun.subarray(0, 500)) })
    .catch(() => {});
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* breakOff(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  throw new Error("broken off");
}

/** Unmounts what is mounted below a place, and removes its roots and its export. */
export async function clear({ root, runRoot, exportDir }: StowagePlace): Promise<void> {
  for (const path of [root, runRoot, exportDir]) {
    await unmountBelow(path);
    await rm(path, { recursive: true, force: true });
  }
}

/** Mount points below a folder, as the kernel has them, the last mounted first. */
export async function mountsBelow(path: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  const points = table.split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point.startsWith(`${path}/`)).toReversed();
}

export async function unmountBelow(path: string): Promise<void> {
  for (const point of await mountsBelow(path)) await run("umount", ["-l", point]);
}

async function copyTree(from: string, to: string): Promise<void> {
  await run("cp", ["-a", "--", from, to]);
}
