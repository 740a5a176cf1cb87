import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { acquireLock } from "../src/store-lock.ts";
import { asDigest, makeImage, openWorld, storeImage } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

const ID = "ab12".padEnd(64, "0");

describe("a container", () => {
  test("has a record, a writable layer, and a directory of its own", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    const record = await containers.create({ id: ID, names: ["web", "web"], metadata: "{}" });
    expect(record).toMatchObject({ version: 1, id: ID, names: ["web"], metadata: "{}" });
    expect(await containers.get(ID)).toEqual(record);
    expect(await containers.get("web")).toEqual(record);
    expect(await containers.find("ab12")).toEqual(record);
    expect(await containers.find("ab")).toBeUndefined();
    const directory = join(world.root, "containers", ID);
    expect(readdirSync(directory).toSorted()).toEqual([
      "container.json",
      "upper",
      "userdata",
      "work",
    ]);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(await containers.list()).toEqual({ containers: [record], damaged: [] });
  });

  test("gets a random ID", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    const one = await containers.create({ names: [], metadata: "" });
    const two = await containers.create({ names: [], metadata: "" });
    expect(one.id).toMatch(/^[0-9a-f]{64}$/);
    expect(one.id).not.toBe(two.id);
  });

  test.for([
    ["a name that is taken", { names: ["new", "web"] }, "ERR_STORE_DUPLICATE_NAME"],
    ["a name that is an ID", { names: [ID] }, "ERR_STORE_DUPLICATE_NAME"],
    ["an ID that is taken", { id: ID, names: [] }, "ERR_STORE_DUPLICATE_ID"],
    ["an ID of another form", { id: "../x", names: [] }, "ERR_STORE_INVALID_ARGUMENT"],
    ["an empty name", { names: [""] }, "ERR_STORE_INVALID_ARGUMENT"],
    [
      "an image that is not stored",
      { names: [], imageId: asDigest(`sha256:${"1".repeat(64)}`) },
      "ERR_STORE_IMAGE_NOT_FOUND",
    ],
  ] as const)("is not created with %s", async ([, container, code]) => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: ["web"], metadata: "" });
    const created = containers.create({ ...container, metadata: "" });
    await expect(created).rejects.toMatchObject({ code });
    expect((await containers.list()).containers).toHaveLength(1);
  });

  test("R22: gets a name that many want once", async () => {
    await using world = await openWorld();
    await using other = await openStore(world);
    const attempts = Array.from({ length: 8 }, (_, index) =>
      (index % 2 ? other : world.store).containers.create({ names: ["web"], metadata: "" }),
    );
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(readdirSync(join(world.root, "containers"))).toHaveLength(1);
  });

  test("remembers new metadata", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: ["web"], metadata: "a" });
    await containers.setMetadata(ID, "b");
    expect((await containers.get("web")).metadata).toBe("b");
    const changed = containers.setMetadata("0".repeat(64), "b");
    await expect(changed).rejects.toMatchObject({
      code: "ERR_STORE_CONTAINER_NOT_FOUND",
      kind: "ContainerNotFound",
    });
  });

  test("R13: has a work directory that stays and a run directory that does not", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: [], metadata: "" });
    expect(containers.workDir(ID)).toBe(join(world.root, "containers", ID, "userdata"));
    expect(containers.runDir(ID)).toBe(join(world.runRoot, "containers", ID, "userdata"));
    expect(existsSync(containers.runDir(ID))).toBe(false);
    expect(await containers.ensureRunDir(ID)).toBe(containers.runDir(ID));
    expect(existsSync(containers.runDir(ID))).toBe(true);
    expect(() => containers.workDir("../..")).toThrow("is not a container ID");
  });

  test.skipIf(!IS_ROOT)(
    `goes with all that it has, mounted or not, and a second time is success${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const { store } = world;
      const image = makeImage([{ name: "file", body: "x" }]);
      await storeImage(store, image);
      const topLayer = image.layerIDs[0];
      await store.containers.create({ id: ID, names: ["web"], topLayer, metadata: "" });
      await store.containers.ensureRunDir(ID);
      const { mountPoint } = await store.mounts.mountContainer(ID);
      await store.mounts.mountContainer(ID);
      writeFileSync(join(mountPoint, "file"), "changed");
      await store.containers.remove(ID);
      await store.containers.remove(ID);
      await store.containers.remove("no such thing");
      expect(await store.containers.find("web")).toBeUndefined();
      expect(await store.mounts.list()).toEqual([]);
      for (const path of [
        join(world.root, "containers"),
        join(world.root, "trash"),
        join(world.runRoot, "containers"),
      ]) {
        expect(readdirSync(path)).toEqual([]);
      }
      expect(readdirSync(join(world.runRoot, "mounts"))).not.toContain(ID);
      await store.containers.create({ id: ID, names: ["web"], topLayer, metadata: "" });
    },
  );

  test("stays where what is asked says so, when nobody can create another any more", async () => {
    await using world = await openWorld();
    const { containers, mounts } = world.store;
    await containers.create({ id: ID, names: ["web"], metadata: "" });
    let created: Promise<unknown> | undefined;
    const check = async (): Promise<void> => {
      created = containers.create({ names: ["late"], metadata: "" });
      expect((await containers.list()).containers).toHaveLength(1);
      throw new Error("it stays");
    };
    await expect(containers.remove(ID, { check })).rejects.toThrow("it stays");
    await created;
    expect((await containers.list()).containers.map(({ names }) => names[0])).toEqual([
      "web",
      "late",
    ]);
    expect(await mounts.list()).toEqual([]);
    await containers.remove(ID);
    await containers.remove(ID, { check });
  });

  test("that is gone gets no run directory, which nobody would remove", async () => {
    await using world = await openWorld();
    const made = world.store.containers.ensureRunDir(ID);
    await expect(made).rejects.toMatchObject({ code: "ERR_STORE_CONTAINER_NOT_FOUND" });
    expect(readdirSync(join(world.runRoot, "containers"))).toEqual([]);
  });

  test.for(["mounted", "unmounted"] as const)(
    "that goes while somebody waits until it can be %s leaves no lock behind",
    async (how) => {
      await using world = await openWorld();
      const { containers, mounts } = world.store;
      await containers.create({ id: ID, names: [], metadata: "" });
      mkdirSync(join(world.runRoot, "mounts", ID));
      const path = join(world.root, "locks", `mount-${ID}.lock`);
      let waiting: Promise<unknown>;
      {
        using _held = await acquireLock(path, "exclusive");
        waiting = how === "mounted" ? mounts.mountContainer(ID) : mounts.unmountContainer(ID);
        rmSync(join(world.root, "containers", ID), { recursive: true });
        rmSync(path);
      }
      const [outcome] = await Promise.allSettled([waiting]);
      expect(outcome).toMatchObject(
        how === "mounted"
          ? { reason: { code: "ERR_STORE_CONTAINER_NOT_FOUND" } }
          : { status: "fulfilled", value: 0 },
      );
      expect(existsSync(path)).toBe(false);
    },
  );

  test("whose removal is interrupted while it waits for a lock stays", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: [], metadata: "" });
    for (const name of [`mount-${ID}`, "containers"]) {
      using _held = await acquireLock(join(world.root, "locks", `${name}.lock`), "exclusive");
      const removed = containers.remove(ID, { signal: AbortSignal.timeout(50) });
      await expect(removed).rejects.toMatchObject({ name: "TimeoutError" });
    }
    expect(await containers.get(ID)).toMatchObject({ id: ID });
  });

  test("whose beginning another shares is ambiguous", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: [], metadata: "" });
    await containers.create({ id: "ab12".padEnd(64, "1"), names: [], metadata: "" });
    const found = containers.find("ab12");
    await expect(found).rejects.toMatchObject({ code: "ERR_STORE_AMBIGUOUS_ID" });
  });

  test("K05: with a damaged record hides itself alone, and can be removed", async () => {
    await using world = await openWorld();
    const { containers } = world.store;
    await containers.create({ id: ID, names: ["web"], metadata: "" });
    const sound = await containers.create({ names: ["db"], metadata: "" });
    writeFileSync(join(world.root, "containers", ID, "container.json"), "\0\0\0");
    mkdirSync(join(world.root, "containers", "stranger"));
    const list = await containers.list();
    expect(list.containers).toEqual([sound]);
    expect(list.damaged).toMatchObject([{ code: "ERR_STORE_CORRUPT" }]);
    expect(list.damaged[0]?.message).toContain(ID);
    await expect(containers.find(ID)).rejects.toMatchObject({
      code: "ERR_STORE_CORRUPT",
      hint: expect.stringContaining("Remove the container"),
    });
    expect(await containers.find("db")).toEqual(sound);
    await containers.remove(ID);
    expect((await containers.list()).damaged).toEqual([]);
  });
});
