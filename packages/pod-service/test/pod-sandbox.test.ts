import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  createPodWithContainer,
  createPodWorld,
  idOf,
  IMAGE_NAME,
  PAUSE_IMAGE,
} from "./support/pod-world.ts";

describe("R9 R11 createPodSandbox", () => {
  test("PM-01: the infra container has the pod's ID, and both names", async () => {
    await using world = await createPodWorld();
    const options = { podName: "p", podId: idOf("1"), containerName: "c" };
    const made = await world.pods.createPodSandbox(options);
    expect(made).toMatchObject({ id: idOf("1"), podId: idOf("1"), names: ["c", "p"] });
    const record = await world.store.containers.get(idOf("1"));
    expect(record.names).toEqual(["c", "p"]);
    expect(JSON.parse(record.metadata)).toMatchObject({ pod: true, "pod-id": idOf("1") });
    for (const name of ["c", "p", idOf("1"), "111"]) {
      expect((await world.pods.podStatus(name)).id).toBe(idOf("1"));
    }
  });

  test("R10: remembers all that was said about the pod, in the record alone", async () => {
    await using world = await createPodWorld();
    const { id } = await world.pods.createPodSandbox({
      podName: "p",
      metadataName: "m",
      uid: "u",
      namespace: "n",
      attempt: 3,
      mountLabel: "system_u:object_r:container_file_t:s0",
      privileged: true,
    });
    expect(await world.pods.getMetadata("p")).toEqual({
      podName: "p",
      podId: id,
      imageName: "",
      imageId: "",
      name: "p-infra",
      metadataName: "m",
      uid: "u",
      namespace: "n",
      attempt: 3,
      createdAt: expect.any(Number),
      mountLabel: "system_u:object_r:container_file_t:s0",
      pod: true,
      privileged: true,
    });
    expect(await world.with({}).podStatus(id)).toMatchObject({
      name: "p",
      metadataName: "m",
      uid: "u",
      namespace: "n",
      attempt: 3,
      privileged: true,
    });
  });

  test.for([
    ["PM-03: an empty pod name", { podName: "" }, "ERR_POD_INVALID_POD_NAME"],
    ["PM-04: an empty pod ID", { podName: "p", podId: "" }, "ERR_POD_INVALID_POD_NAME"],
    ["a pod ID that is a path", { podName: "p", podId: "../x" }, "ERR_POD_INVALID_POD_NAME"],
    ["a pod name that is a path", { podName: "../p" }, "ERR_POD_INVALID_POD_NAME"],
    ["a pod name that looks like an ID", { podName: idOf("1") }, "ERR_POD_INVALID_POD_NAME"],
    [
      "PM-06: an empty container name",
      { podName: "p", containerName: "" },
      "ERR_POD_INVALID_CONTAINER_NAME",
    ],
    ["one name for both", { podName: "p", containerName: "p" }, "ERR_POD_INVALID_CONTAINER_NAME"],
    ["an attempt that is no count", { podName: "p", attempt: -1 }, "ERR_POD_INVALID_ATTEMPT"],
    ["an empty image name", { podName: "p", imageName: "" }, "ERR_POD_INVALID_IMAGE_NAME"],
  ] as const)("refuses %s", async ([, options, code]) => {
    await using world = await createPodWorld();
    await expect(world.pods.createPodSandbox(options)).rejects.toMatchObject({ code });
    expect(await world.pods.listPods()).toEqual([]);
  });

  test("PM-08: refuses a name that is taken, and changes nothing", async () => {
    await using world = await createPodWorld();
    const { id } = await world.pods.createPodSandbox({ podName: "p" });
    const again = world.pods.createPodSandbox({ podName: "p", podId: idOf("2") });
    await expect(again).rejects.toMatchObject({
      code: "ERR_POD_DUPLICATE_NAME",
      kind: "AlreadyExists",
    });
    expect((await world.pods.listPods()).map((pod) => pod.id)).toEqual([id]);
    expect(await readdir(join(world.root, "containers"))).toEqual([id]);
  });

  test("R9: IDs of pods and containers are disjoint", async () => {
    await using world = await createPodWorld();
    const { podId, id } = await createPodWithContainer(world.pods);
    const asContainer = world.pods.createPodSandbox({ podName: "q", podId: id });
    await expect(asContainer).rejects.toMatchObject({ code: "ERR_POD_DUPLICATE_ID" });
    const asPod = world.pods.createContainer({
      podId,
      containerName: "e",
      containerId: podId,
      imageName: IMAGE_NAME,
    });
    await expect(asPod).rejects.toMatchObject({ code: "ERR_POD_DUPLICATE_ID" });
    const named = world.pods.createPodSandbox({ podName: "d" });
    await expect(named).rejects.toMatchObject({ code: "ERR_POD_DUPLICATE_NAME" });
  });

  test("R11: pulls the pause image if it is missing, once, and asks policy each time", async () => {
    await using world = await createPodWorld();
    const pods = world.with({ pauseImage: PAUSE_IMAGE });
    const { id } = await pods.createPodSandbox({ podName: "p" });
    await pods.createPodSandbox({ podName: "q" });
    expect(world.pulled).toEqual([PAUSE_IMAGE]);
    expect(world.checked).toEqual([PAUSE_IMAGE, PAUSE_IMAGE]);
    expect(await pods.getMetadata(id)).toMatchObject({
      imageName: PAUSE_IMAGE,
      imageId: world.image.id,
    });
    await pods.createPodSandbox({ podName: "r", imageName: null });
    expect(world.checked).toHaveLength(2);
  });

  test("R19: policy says no to the pause image, and no pod is made", async () => {
    await using world = await createPodWorld();
    const refusal = new Error("rejected");
    const pods = world.with({
      pauseImage: PAUSE_IMAGE,
      images: { requireAllowed: () => Promise.reject(refusal) },
    });
    await expect(pods.createPodSandbox({ podName: "p" })).rejects.toBe(refusal);
    expect(await pods.listPods()).toEqual([]);
  });

  test.for(["ensureRunDir"] as const)("R11: leaves nothing when %s fails", async (step) => {
    await using world = await createPodWorld();
    const failure = new Error("disk on fire");
    const pods = world.with({
      store: (store) => ({
        mounts: store.mounts,
        containers: portOf(store.containers, { [step]: () => Promise.reject(failure) }),
      }),
    });
    await expect(pods.createPodSandbox({ podName: "p" })).rejects.toBe(failure);
    expect(await readdir(join(world.root, "containers"))).toEqual([]);
    await world.pods.createPodSandbox({ podName: "p" });
  });

  test("R11: gives the first failure when cleaning up fails as well, and says the second", async () => {
    await using world = await createPodWorld();
    const failure = new Error("disk on fire");
    const fail = (): Promise<never> => Promise.reject(failure);
    const pods = world.with({
      store: (store) => ({
        mounts: store.mounts,
        containers: portOf(store.containers, {
          ensureRunDir: fail,
          remove: () => Promise.reject(new Error("still on fire")),
        }),
      }),
    });
    await expect(pods.createPodSandbox({ podName: "p" })).rejects.toBe(failure);
    expect(world.warnings).toHaveLength(1);
  });

  test("cancelled half-way, leaves nothing and rejects with the reason", async () => {
    await using world = await createPodWorld();
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const pods = world.with({
      store: (store) => ({
        mounts: store.mounts,
        containers: portOf(store.containers, {
          ensureRunDir: async (id: string) => {
            controller.abort(reason);
            return store.containers.ensureRunDir(id);
          },
        }),
      }),
    });
    const made = pods.createPodSandbox({ podName: "p", signal: controller.signal });
    await expect(made).rejects.toBe(reason);
    expect(await pods.listPods()).toEqual([]);
  });
});

describe("removePod", () => {
  test("removes the members, then the pod; again is fine (R12)", async () => {
    await using world = await createPodWorld();
    const { podId, id } = await createPodWithContainer(world.pods);
    expect(await world.pods.removePod("p")).toEqual([id, podId]);
    expect(await world.pods.removePod("p")).toEqual([]);
    expect(await readdir(join(world.root, "containers"))).toEqual([]);
    await expect(world.pods.podStatus("p")).rejects.toMatchObject({
      code: "ERR_POD_SANDBOX_NOT_FOUND",
      kind: "PodNotFound",
    });
    await expect(world.pods.removePod("")).rejects.toMatchObject({
      code: "ERR_POD_INVALID_POD_NAME",
    });
  });

  test("leaves other pods alone", async () => {
    await using world = await createPodWorld();
    const { id } = await world.pods.createPodSandbox({ podName: "q" });
    await createPodWithContainer(world.pods);
    await world.pods.removePod("p");
    expect((await world.pods.listPods()).map((pod) => pod.id)).toEqual([id]);
  });

  test("a container that is made while its pod goes, goes too", async () => {
    await using world = await createPodWorld();
    const { id: podId } = await world.pods.createPodSandbox({ podName: "p" });
    const pods = world.with({
      store: (store) => ({
        mounts: store.mounts,
        containers: portOf(store.containers, {
          create: async (init: Parameters<typeof store.containers.create>[0]) => {
            await world.pods.removePod(podId);
            return store.containers.create(init);
          },
        }),
      }),
    });
    const made = pods.createContainer({ podId, containerName: "d", imageName: IMAGE_NAME });
    await expect(made).rejects.toMatchObject({ code: "ERR_POD_SANDBOX_NOT_FOUND" });
    expect(await readdir(join(world.root, "containers"))).toEqual([]);
  });
});

/** `port` with some of its methods replaced, the others still bound to it. */
function portOf<Port extends object>(
  port: Port,
  changes: Partial<Record<keyof Port, unknown>>,
): Port {
  return new Proxy(port, {
    get(target, key) {
      if (key in changes) return changes[key as keyof Port];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
