import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { createPodWithContainer, createPodWorld, idOf } from "./support/pod-world.ts";

describe("restore", () => {
  test("R10: another process sees the pods, with nothing but the records", async () => {
    await using world = await createPodWorld();
    const { podId, id } = await createPodWithContainer(world.pods);
    const restored = await world.with({}).restore();
    expect(restored).toEqual({
      pods: [expect.objectContaining({ id: podId, containerIds: [podId, id] })],
      removed: [],
      ignored: [],
      damaged: [],
    });
  });

  test("PM-34: leaves containers of other programs alone, and does not list them", async () => {
    await using world = await createPodWorld();
    const metadata = JSON.stringify({ "image-name": "x", name: "other" });
    await world.store.containers.create({ id: idOf("f"), names: ["other"], metadata });
    await world.store.containers.create({ id: idOf("e"), names: ["text"], metadata: "hello" });
    const { ignored, pods } = await world.pods.restore();
    expect({ ignored: ignored.toSorted(), pods }).toEqual({
      ignored: [idOf("e"), idOf("f")],
      pods: [],
    });
    expect(await world.pods.listContainers()).toEqual([]);
    await world.store.containers.get("other");
  });

  test("PM-35: removes all of a pod whose infra container cannot be read", async () => {
    await using world = await createPodWorld();
    const { podId, id } = await createPodWithContainer(world.pods);
    const { id: other } = await world.pods.createPodSandbox({ podName: "q" });
    await world.store.containers.setMetadata(podId, "not JSON");
    const { removed, pods } = await world.pods.restore();
    expect(removed).toEqual([id, podId]);
    expect(pods.map((pod) => pod.id)).toEqual([other]);
    await world.pods.createPodSandbox({ podName: "p", containerName: "c" });
  });

  test("PM-35: removes members of a pod that is gone, and nothing that they point at", async () => {
    await using world = await createPodWorld();
    const { id: other } = await world.pods.createPodSandbox({ podName: "q", podId: idOf("a") });
    const metadata = JSON.stringify({ "pod-name": "p", "pod-id": "aaaaaa", name: "d" });
    await world.store.containers.create({ id: idOf("f"), names: ["d"], metadata });
    const { removed, pods } = await world.pods.restore();
    expect(removed).toEqual([idOf("f")]);
    expect(pods.map((pod) => pod.id)).toEqual([other]);
  });

  test("K05: removes nothing while a record cannot be read by the store", async () => {
    await using world = await createPodWorld();
    const { podId } = await createPodWithContainer(world.pods);
    await writeFile(join(world.root, "containers", podId, "container.json"), "{");
    const { removed, damaged } = await world.pods.restore();
    expect({ removed, damaged: damaged.length }).toEqual({ removed: [], damaged: 1 });
    expect(await readdir(join(world.root, "containers"))).toHaveLength(2);
  });
});
