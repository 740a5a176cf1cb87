import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import {
  CAN_MOUNT,
  createPodWithContainer,
  createPodWorld,
  IMAGE_NAME,
} from "./support/pod-world.ts";

const MOUNTS = CAN_MOUNT ? "" : " (not root: cannot mount)";

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
