import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  CAN_MOUNT,
  CANONICAL,
  createPodWithContainer,
  createPodWorld,
  idOf,
  IMAGE_NAME,
  PAUSE_IMAGE,
} from "./support/pod-world.ts";

const MOUNTS = CAN_MOUNT ? "" : " (not root: cannot mount)";

describe("R9 R11 createContainer", () => {
  test("PM-02 PM-07: a member has its own name, and is no pod", async () => {
    await using world = await createPodWorld();
    const { id: podId } = await world.pods.createPodSandbox({ podName: "p" });
    await world.pods.createContainer({
      podId: "p",
      containerName: "d",
      containerId: idOf("d"),
      imageName: IMAGE_NAME,
    });
    const { names, metadata } = await world.store.containers.get(idOf("d"));
    expect(names).toEqual(["d"]);
    expect(JSON.parse(metadata)).toEqual({
      "pod-name": "p",
      "pod-id": podId,
      "image-name": IMAGE_NAME,
      "image-id": world.image.id,
      name: "d",
      "metadata-name": "d",
      "created-at": expect.any(Number),
    });
    expect((await world.pods.podStatus("p")).containerIds).toEqual([podId, idOf("d")]);
  });

  test.for([
    ["PM-03: no pod", { podId: "" }, "ERR_POD_INVALID_POD_NAME"],
    ["a pod that is not there", { podId: "nowhere" }, "ERR_POD_SANDBOX_NOT_FOUND"],
    ["a container for a pod", { podId: "d" }, "ERR_POD_SANDBOX_NOT_FOUND"],
    ["PM-05: no image", { imageName: "" }, "ERR_POD_INVALID_IMAGE_NAME"],
    ["PM-06: no name", { containerName: "" }, "ERR_POD_INVALID_CONTAINER_NAME"],
    ["an ID that is a path", { containerId: "../x" }, "ERR_POD_INVALID_CONTAINER_ID"],
    ["PM-08: a name that is taken", { containerName: "c" }, "ERR_POD_DUPLICATE_NAME"],
  ] as const)("refuses %s", async ([, change, code]) => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    const options = { podId: "p", containerName: "e", imageName: IMAGE_NAME, ...change };
    await expect(world.pods.createContainer(options)).rejects.toMatchObject({ code });
    expect(await readdir(join(world.root, "containers"))).toHaveLength(2);
  });

  test("PM-09: refuses an ID that is taken", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const options = { podId: "p", containerName: "e", containerId: id, imageName: IMAGE_NAME };
    await expect(world.pods.createContainer(options)).rejects.toMatchObject({
      code: "ERR_POD_DUPLICATE_ID",
    });
    expect((await world.store.containers.get(id)).names).toEqual(["d"]);
  });

  test("takes an image by its ID alone", async () => {
    await using world = await createPodWorld();
    await world.pods.createPodSandbox({ podName: "p" });
    const options = { podId: "p", containerName: "d", imageId: world.image.id };
    await world.pods.createContainer(options);
    expect(await world.pods.getMetadata("d")).toMatchObject({
      imageName: IMAGE_NAME,
      imageId: world.image.id,
    });
  });

  test("R11: never pulls", async () => {
    await using world = await createPodWorld();
    await world.pods.createPodSandbox({ podName: "p" });
    const options = { podId: "p", containerName: "d", imageName: "registry.example/missing:1" };
    await expect(world.pods.createContainer(options)).rejects.toThrow("not here");
    expect(world.pulled).toEqual([]);
  });

  test("R19: policy is asked again, and a no leaves nothing", async () => {
    await using world = await createPodWorld();
    const { podId } = await createPodWithContainer(world.pods);
    expect(world.checked).toEqual([IMAGE_NAME]);
    const refusal = new Error("rejected");
    const pods = world.with({ images: { requireAllowed: () => Promise.reject(refusal) } });
    const options = { podId, containerName: "e", imageName: IMAGE_NAME };
    await expect(pods.createContainer(options)).rejects.toBe(refusal);
    expect((await pods.podStatus("p")).containerIds).toHaveLength(2);
  });

  test("R19: policy is asked on behalf of the pod's namespace, and for no other", async () => {
    await using world = await createPodWorld();
    const asked: (string | undefined)[] = [];
    const pods = world.with({
      images: {
        ensureImage: async (_name, how) => {
          asked.push(how?.namespace);
          return world.image;
        },
        requireAllowed: async (_image, how) => void asked.push(how?.namespace),
      },
      pauseImage: PAUSE_IMAGE,
    });
    for (const [podName, namespace] of [
      ["p", "team-a"],
      ["q", ""],
    ] as const) {
      asked.length = 0;
      const { id: podId } = await pods.createPodSandbox({ podName, namespace });
      await pods.createContainer({ podId, containerName: `${podName}d`, imageName: IMAGE_NAME });
      expect(asked).toEqual(Array<string | undefined>(3).fill(namespace || undefined));
    }
  });

  test("R11: leaves nothing when its last step fails", async () => {
    await using world = await createPodWorld();
    await world.pods.createPodSandbox({ podName: "p" });
    const failure = new Error("no template");
    const made = world.pods.createContainer({
      podId: "p",
      containerName: "d",
      imageName: IMAGE_NAME,
      prepare: async ({ workDir }) => {
        await writeFile(join(workDir, "half"), "");
        throw failure;
      },
    });
    await expect(made).rejects.toBe(failure);
    expect(await readdir(join(world.root, "containers"))).toHaveLength(1);
    expect((await world.pods.podStatus("p")).containerIds).toHaveLength(1);
  });

  test("R11: shows no container before its work directory is as it should be", async () => {
    await using world = await createPodWorld();
    await world.pods.createPodSandbox({ podName: "p" });
    let seen = 0;
    const { id, workDir } = await world.pods.createContainer({
      podId: "p",
      containerName: "d",
      imageName: IMAGE_NAME,
      prepare: async (container) => {
        await writeFile(join(container.workDir, "whole"), container.id);
        seen = (await world.pods.podStatus("p")).containerIds.length;
      },
    });
    expect(seen).toBe(1);
    expect(await readFile(join(workDir, "whole"), "utf8")).toBe(id);
  });
});

describe.skipIf(!CAN_MOUNT)(`startContainer and stopContainer${MOUNTS}`, () => {
  test("D07: a start or a stop that can not be noted is a named error, and mounts nothing", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const state = join(await world.pods.getRunDir(id), "state.json");
    await mkdir(join(state, "in the way"), { recursive: true });
    const started = world.pods.startContainer(id);
    await expect(started).rejects.toMatchObject({ code: "ERR_STORE_IO" });
    expect(await world.pods.containerStatus(id)).not.toHaveProperty("mountPoint");
    const stopped = world.pods.stopContainer(id, { exitCode: 1 });
    await expect(stopped).rejects.toMatchObject({ code: "ERR_STORE_IO" });
  });

  test("PM-12 PM-13 PM-15: starts count, one stop unmounts, another is fine", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const first = await world.pods.startContainer(id);
    expect(first.count).toBe(1);
    expect(await readFile(join(first.mountPoint, "hello"), "utf8")).toBe("hello");
    await world.pods.startContainer(id);
    const third = await world.pods.startContainer(id);
    expect(third).toMatchObject({ count: 3, mountPoint: first.mountPoint });
    expect(await world.pods.containerStatus(id)).toMatchObject({
      state: "running",
      mountPoint: first.mountPoint,
    });
    await world.pods.stopContainer(id, { exitCode: 3 });
    const stopped = await world.pods.containerStatus(id);
    expect(stopped).toMatchObject({ state: "stopped", exitCode: 3 });
    expect(stopped).not.toHaveProperty("mountPoint");
    await world.pods.stopContainer(id);
    expect((await world.pods.containerStatus(id)).exitCode).toBe(3);
    expect((await world.pods.startContainer(id)).count).toBe(1);
  });

  test("PM-26: takes an ID, a name or a prefix", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    for (const idOrName of [id, "d", id.slice(0, 8)]) {
      expect((await world.pods.startContainer(idOrName)).id).toBe(id);
    }
  });

  test("PM-30: does not start what has no readable metadata", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    await world.store.containers.setMetadata(id, "not JSON");
    await expect(world.pods.startContainer(id)).rejects.toMatchObject({
      code: "ERR_POD_INVALID_METADATA",
    });
    expect(await world.store.mounts.mountPointOf(id)).toBeUndefined();
  });

  test("R12: an infra container without an image has nothing to mount", async () => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    await expect(world.pods.startContainer("p")).rejects.toMatchObject({
      code: "ERR_POD_NO_ROOT_FILESYSTEM",
    });
  });

  test("PM-32 R13: after the run root was wiped, starts again with a fresh mount", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const { runDir, mountPoint } = await world.pods.startContainer(id);
    await writeFile(join(mountPoint, "kept"), "in the upper layer");
    await writeFile(join(runDir, "lost"), "");
    const pods = await world.reboot();
    expect(await pods.containerStatus(id)).toMatchObject({ state: "created" });
    const again = await pods.startContainer(id);
    expect(again.count).toBe(1);
    expect(await readFile(join(again.mountPoint, "kept"), "utf8")).toBe("in the upper layer");
    expect(existsSync(join(again.runDir, "lost"))).toBe(false);
    expect((await stat(again.runDir)).mode & 0o777).toBe(0o700);
  });

  test("a start that fails gives back its own mount only", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const failure = new Error("no template");
    const fail = { prepare: () => Promise.reject(failure) };
    await expect(world.pods.startContainer(id, fail)).rejects.toBe(failure);
    expect(await world.pods.containerStatus(id)).toMatchObject({ state: "created" });
    expect(await world.store.mounts.mountPointOf(id)).toBeUndefined();
    await world.pods.startContainer(id);
    await expect(world.pods.startContainer(id, fail)).rejects.toBe(failure);
    expect((await world.pods.startContainer(id)).count).toBe(2);
  });

  test("R15: what the kernel unmounted is not running, whatever was written", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    await world.pods.startContainer(id);
    await world.store.mounts.unmountContainer(id, { force: true });
    expect(await world.pods.containerStatus(id)).toMatchObject({ state: "stopped" });
  });

  test("PM-36: mounts with the label that was stored last", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const label = "system_u:object_r:container_file_t:s0:c1,c2";
    const metadata = await world.pods.getMetadata(id);
    await world.pods.setMetadata(id, { ...metadata, mountLabel: label });
    const asked: unknown[] = [];
    const pods = world.with({
      store: ({ containers }) => ({
        containers,
        mounts: {
          mountContainer: async (_, options) => {
            asked.push(options);
            return { mountPoint: "/nowhere", count: 1 };
          },
          unmountContainer: async () => 0,
          mountPointOf: async () => undefined,
          supportsLabels: true,
        },
      }),
    });
    await pods.startContainer(id);
    expect(asked).toEqual([expect.objectContaining({ mountLabel: label })]);
  });

  test("PM-36: does not start without a label that the store cannot mount with", async () => {
    await using world = await createPodWorld();
    const { podId } = await createPodWithContainer(world.pods);
    const label = "system_u:object_r:container_file_t:s0";
    const options = { podId, containerName: "e", imageName: IMAGE_NAME, mountLabel: label };
    const { id } = await world.pods.createContainer(options);
    await expect(world.pods.startContainer(id)).rejects.toMatchObject({
      code: "ERR_POD_LABEL_UNSUPPORTED",
    });
    expect(await world.store.mounts.mountPointOf(id)).toBeUndefined();
  });

  test("deletes a container that is mounted", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const { mountPoint } = await world.pods.startContainer(id);
    await world.pods.deleteContainer(id);
    expect(existsSync(mountPoint)).toBe(false);
  });
});

describe("R12 what is not there", () => {
  test("PM-17 PM-21: stopping and deleting it is success", async () => {
    await using world = await createPodWorld();
    await world.pods.stopContainer("nobody");
    expect(await world.pods.deleteContainer("nobody")).toBe(false);
  });

  test.for([
    "PM-19 startContainer",
    "PM-24 getMetadata",
    "PM-25 getWorkDir",
    "PM-25 getRunDir",
    "containerStatus",
  ] as const)("%s of it is a named error", async (title) => {
    await using world = await createPodWorld();
    const method = title.split(" ").at(-1) as "startContainer";
    await expect(world.pods[method]("nobody")).rejects.toMatchObject({
      code: "ERR_POD_CONTAINER_NOT_FOUND",
      kind: "ContainerNotFound",
    });
  });

  test.for([
    "stopContainer",
    "deleteContainer",
    "startContainer",
    "getMetadata",
    "getWorkDir",
    "getRunDir",
    "containerStatus",
  ] as const)("PM-18: %s never looks up an empty ID", async (method) => {
    await using world = await createPodWorld();
    await expect(world.pods[method]("")).rejects.toMatchObject({
      code: "ERR_POD_INVALID_CONTAINER_ID",
    });
  });
});

describe("deleteContainer", () => {
  test("PM-27 R13: both directories go with the container", async () => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    const workDir = await world.pods.getWorkDir("d");
    const runDir = await world.pods.getRunDir("d");
    expect([existsSync(workDir), existsSync(runDir)]).toEqual([true, true]);
    expect(await world.pods.deleteContainer("d")).toBe(true);
    expect([existsSync(workDir), existsSync(runDir)]).toEqual([false, false]);
  });

  test("R9: does not take the infra container from a pod that has others", async () => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    await expect(world.pods.deleteContainer("p")).rejects.toMatchObject({
      code: "ERR_POD_NOT_EMPTY",
      kind: "InUse",
      message: expect.stringContaining("d"),
    });
    await world.pods.deleteContainer("d");
    expect(await world.pods.deleteContainer("p")).toBe(true);
    expect(await world.pods.listPods()).toEqual([]);
  });
});

describe("R12 containerStatus", () => {
  test("tells the canonical reference, the state and the directories", async () => {
    await using world = await createPodWorld();
    const { podId, id } = await createPodWithContainer(world.pods);
    expect(await world.pods.containerStatus("d")).toEqual({
      id,
      podId,
      podName: "p",
      names: ["d"],
      metadataName: "d",
      imageName: IMAGE_NAME,
      imageRef: CANONICAL,
      imageId: world.image.id,
      state: "created",
      attempt: 0,
      createdAt: expect.any(Number),
      infra: false,
      privileged: false,
      workDir: join(world.root, "containers", id, "userdata"),
      runDir: join(world.runRoot, "containers", id, "userdata"),
    });
  });

  test("R4: does not follow a name that moved to another image", async () => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    const other = { ...world.image, id: `sha256:${idOf("e")}` as typeof world.image.id };
    const asked: string[] = [];
    const pods = world.with({
      images: {
        requireImage: async (nameOrId) => {
          asked.push(nameOrId);
          return nameOrId === IMAGE_NAME ? { ...other, canonical: "moved" } : world.image;
        },
      },
    });
    expect(await pods.containerStatus("d")).toMatchObject({ imageRef: CANONICAL });
    expect(asked).toEqual([IMAGE_NAME, world.image.id]);
  });

  test.for([
    ["cut", '{"version":1,"sta'],
    ["empty", ""],
    ["null", "null"],
    ["an array", "[]"],
    ["too long", " ".repeat(65 * 1024)],
    ["deep", "[".repeat(60_000)],
  ] as const)(
    "J01: a state file that is %s makes the state unknown, and no more",
    async ([, text]) => {
      await using world = await createPodWorld();
      await createPodWithContainer(world.pods);
      await writeFile(join(await world.pods.getRunDir("d"), "state.json"), text);
      const all = await world.pods.listContainers();
      expect(all.map(({ state }) => state)).toEqual(["created", "unknown"]);
    },
  );
});

describe("R10 getMetadata and setMetadata", () => {
  test("the last writer wins", async () => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    const before = await world.pods.getMetadata("d");
    await world.pods.setMetadata("d", { ...before, attempt: 1 });
    await world.pods.setMetadata("d", { ...before, metadataName: "other" });
    expect(await world.pods.getMetadata("d")).toEqual({ ...before, metadataName: "other" });
  });

  test.for(["podId", "podName", "name", "imageId"] as const)("does not change %s", async (key) => {
    await using world = await createPodWorld();
    await createPodWithContainer(world.pods);
    const before = await world.pods.getMetadata("d");
    const change = world.pods.setMetadata("d", { ...before, [key]: "" });
    await expect(change).rejects.toMatchObject({ code: "ERR_POD_IMMUTABLE_METADATA" });
  });
});
