import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { PodStore } from "@stowage/pod-service";
import type { Store } from "@stowage/store";
import { describe, expect, test } from "vitest";

import {
  CAN_MOUNT,
  createPodWithContainer,
  createPodWorld,
  IMAGE_NAME,
  type PodWorld,
} from "./support/pod-world.ts";

describe.runIf(CAN_MOUNT)("a container that another process removes (needs root)", () => {
  test("while it is started is not found, and has no directory afterwards", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const prepare = (): Promise<void> => world.store.containers.remove(id);
    await expect(world.pods.startContainer(id, { prepare })).rejects.toMatchObject({
      code: "ERR_POD_CONTAINER_NOT_FOUND",
    });
    expectNothingOf(world, id);
  });

  test("when it has been found to be started is not found, and has no directory afterwards", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    const pods = world.with({
      store: (store) =>
        withContainers(store, {
          async ensureRunDir(asked) {
            await store.containers.remove(asked);
            return await store.containers.ensureRunDir(asked);
          },
        }),
    });
    await expect(pods.startContainer(id)).rejects.toMatchObject({ kind: "ContainerNotFound" });
    expectNothingOf(world, id);
  });

  test("while it is stopped is stopped, and has no directory afterwards", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    await world.pods.startContainer(id);
    const pods = world.with({
      store: (store) => ({
        ...store,
        mounts: {
          ...store.mounts,
          async unmountContainer(asked, how) {
            const left = await store.mounts.unmountContainer(asked, how);
            await store.containers.remove(asked);
            return left;
          },
        },
      }),
    });
    await pods.stopContainer(id, { exitCode: 1 });
    expectNothingOf(world, id);
  });
});

test("an infra container in whose pod another is made just before it is to go stays", async () => {
  await using world = await createPodWorld();
  const { id: podId } = await world.pods.createPodSandbox({ podName: "p" });
  const pods = world.with({
    store: (store) =>
      withContainers(store, {
        async remove(id, how) {
          await world.pods.createContainer({ podId, containerName: "d", imageName: IMAGE_NAME });
          await store.containers.remove(id, how);
        },
      }),
  });
  await expect(pods.deleteContainer(podId)).rejects.toMatchObject({ code: "ERR_POD_NOT_EMPTY" });
  expect((await world.pods.podStatus("p")).containerIds).toHaveLength(2);
});

describe.runIf(CAN_MOUNT)("a container whose record can not be read (needs root)", () => {
  test("is stopped and removed by its whole ID", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    await world.pods.startContainer(id);
    damage(world, id);
    await world.pods.stopContainer(id);
    expect(await world.store.mounts.list()).toEqual([]);
    expect(await world.pods.deleteContainer(id)).toBe(true);
    expectNothingOf(world, id);
    expect(await world.pods.deleteContainer(id)).toBe(false);
  });

  test("and is a pod's is not removed before its members, and with them by the pod's whole ID", async () => {
    await using world = await createPodWorld();
    const { id, podId } = await createPodWithContainer(world.pods);
    damage(world, podId);
    await expect(world.pods.deleteContainer(podId)).rejects.toMatchObject({
      code: "ERR_POD_NOT_EMPTY",
    });
    expect(await world.pods.removePod(podId)).toEqual([id, podId]);
    expect(readdirSync(join(world.root, "containers"))).toEqual([]);
  });

  test("and that no member calls its pod is no pod", async () => {
    await using world = await createPodWorld();
    const { id } = await createPodWithContainer(world.pods);
    damage(world, id);
    await expect(world.pods.removePod(id)).rejects.toMatchObject({ code: "ERR_STORE_CORRUPT" });
    expect(readdirSync(join(world.root, "containers"))).toHaveLength(2);
  });
});

function withContainers(store: Store, changes: Partial<PodStore["containers"]>): PodStore {
  return { ...store, containers: { ...store.containers, ...changes } };
}

function damage(world: PodWorld, id: string): void {
  writeFileSync(join(world.root, "containers", id, "container.json"), "{");
}

function expectNothingOf({ root, runRoot }: PodWorld, id: string): void {
  for (const directory of ["containers", "mounts"]) {
    expect(readdirSync(join(runRoot, directory))).not.toContain(id);
  }
  expect(readdirSync(join(root, "containers"))).not.toContain(id);
  expect(readdirSync(join(root, "locks"))).not.toContain(`mount-${id}.lock`);
}
