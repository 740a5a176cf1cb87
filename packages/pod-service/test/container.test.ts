import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  CANONICAL,
  createPodWithContainer,
  createPodWorld,
  idOf,
  IMAGE_NAME,
  PAUSE_IMAGE,
} from "./support/pod-world.ts";

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
