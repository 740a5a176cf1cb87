import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { encodedOf } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const ONE = makeImage({
  files: ["one"],
  config: {
    created: "2026-01-02T03:04:05.678Z",
    config: { User: "1000:1000", Labels: { color: "blue" } },
  },
});
const TWO = makeImage({ files: ["two"], config: { created: "year 0" } });

describe("listImages", () => {
  test("R5 expands a filter to its full form before it compares", async () => {
    await using world = await openListed();
    const [busybox] = await world.images.listImages("busybox");
    expect(busybox).toMatchObject({ id: TWO.id, names: ["docker.io/library/busybox:latest"] });
    for (const same of ["busybox:latest", "library/busybox", "docker.io/busybox"]) {
      expect(await world.images.listImages(same)).toEqual([busybox]);
    }
    expect(await world.images.listImages("registry.test/busybox")).toEqual([]);
  });

  test("R5 filters by ID, by the beginning of one and by digest", async () => {
    await using world = await openListed();
    const { digest } = ONE.descriptor;
    for (const filter of [ONE.id, encodedOf(ONE.id).slice(0, 6), digest, `${APP}@${digest}`]) {
      expect((await world.images.listImages(filter)).map(({ id }) => id)).toEqual([ONE.id]);
    }
  });

  test("R5 without a filter lists all, the latest first", async () => {
    await using world = await openListed();
    expect((await world.images.listImages()).map(({ id }) => id)).toEqual([TWO.id, ONE.id]);
  });

  test("R5 all at once tell what each tells, also where only the config says it", async () => {
    await using world = await openListed();
    for (const id of [TWO.id, ONE.id]) {
      const path = join(world.store.root, "images", encodedOf(id), "image.json");
      const each = [await world.images.imageStatus(TWO.id), await world.images.imageStatus(ONE.id)];
      expect(await world.images.listImages()).toEqual(each);
      const { summary, ...rest } = JSON.parse(await readFile(path, "utf8")) as { summary: object };
      expect(summary).toBeDefined();
      await writeFile(path, JSON.stringify(rest));
      expect(await world.images.listImages()).toEqual(each);
    }
    expect(world.warnings).toEqual([]);
  });

  test("R5 a filter that is no reference is an error", async () => {
    await using world = await openListed();
    const list = world.images.listImages("not a reference");
    await expect(list).rejects.toMatchObject({ kind: "ReferenceInvalid" });
  });

  test("Q5 a damaged image record hides only itself, and is told", async () => {
    await using world = await openListed();
    await damage(join(world.store.root, "images", encodedOf(ONE.id), "image.json"));
    expect((await world.images.listImages()).map(({ id }) => id)).toEqual([TWO.id]);
    expect(world.warnings).toHaveLength(1);
    await world.images.pull(`${APP}:1`);
    expect(await world.images.listImages()).toHaveLength(2);
  });

  test("Q5 a damaged image can be removed, by name and by ID", async () => {
    for (const text of [`${APP}:1`, ONE.id]) {
      for (const way of ["untagImage", "removeImage"] as const) {
        await using world = await openListed();
        await damage(join(world.store.root, "images", encodedOf(ONE.id), "image.json"));
        expect(await world.images[way](text)).toEqual({ names: [`${APP}:1`], id: ONE.id });
        await world.images.listImages();
        expect(world.warnings).toEqual([]);
      }
    }
  });

  test("Q5 an image with a damaged config is listed with what is known, and mended by a pull", async () => {
    await using world = await openListed();
    await damage(world.store.blobs.path(ONE.id));
    const [damaged] = await world.images.listImages(`${APP}:1`);
    expect(damaged).toMatchObject({ id: ONE.id, platform: { os: "unknown" }, labels: {} });
    expect(world.warnings).toHaveLength(1);
    expect(await world.images.listImages()).toHaveLength(2);
    expect((await world.images.pull(`${APP}:1`)).transferred.blobs).toBe(1);
    expect(await world.images.imageStatus(`${APP}:1`)).toMatchObject({ labels: { color: "blue" } });
  });

  test.each(["damaged", "missing"])(
    "Q5 a size without a layer whose record is %s is told to be too small, and mended by a pull",
    async (way) => {
      await using world = await openListed();
      const [before] = await world.images.listImages(`${APP}:1`);
      const { layers } = await world.store.images.get(ONE.id);
      const path = join(world.store.root, "layers", layers[0] ?? "", "layer.json");
      await (way === "damaged" ? damage(path) : rm(path));
      for (const filter of [undefined, `${APP}:1`]) {
        const listed = await world.images.listImages(filter);
        expect(listed.find(({ id }) => id === ONE.id)?.size).toBeLessThan(before?.size ?? 0);
        expect(world.warnings).toMatchObject([
          { message: expect.stringContaining(`${ONE.id}: is larger than is shown`) },
        ]);
        world.warnings.length = 0;
      }
      await world.images.pull(`${APP}:1`);
      expect(await world.images.listImages(`${APP}:1`)).toEqual([before]);
      expect(world.warnings).toEqual([]);
    },
  );

  test("Q5 an image whose record is gone hides only itself, is told, and mended by a pull", async () => {
    await using world = await openListed();
    await rm(join(world.store.root, "images", encodedOf(ONE.id)), { recursive: true });
    expect((await world.images.listImages()).map(({ id }) => id)).toEqual([TWO.id]);
    expect(world.warnings).toMatchObject([{ message: expect.stringContaining(`${APP}:1`) }]);
    const status = world.images.imageStatus(`${APP}:1`);
    await expect(status).rejects.toMatchObject({ kind: "StoreCorrupt" });
    await world.images.pull(`${APP}:1`);
    expect(await world.images.listImages()).toHaveLength(2);
  });
});

describe("imageStatus", () => {
  test("R6 tells ID, canonical, names, digests, size, user, labels, platform, created, pinned", async () => {
    await using world = await openListed();
    const { digest } = ONE.descriptor;
    const status = await world.images.imageStatus(`${APP}:1`);
    expect(status).toEqual({
      id: ONE.id,
      names: [`${APP}:1`],
      tags: [`${APP}:1`],
      digests: [`${APP}@${digest}`],
      canonical: `${APP}@${digest}`,
      size: ONE.bytes.byteLength + [...ONE.blobs.values()].reduce((n, { length }) => n + length, 0),
      created: "2026-01-02T03:04:05.678Z",
      user: { uid: 1000, username: "" },
      labels: { color: "blue" },
      platform: { os: "linux", architecture: "amd64" },
      pinned: false,
    });
  });

  test("M31 a creation time that is none is left out", async () => {
    await using world = await openListed();
    expect(await world.images.imageStatus("busybox")).not.toHaveProperty("created");
  });

  test("text that is neither an ID nor a reference is an error, unless it is all hex", async () => {
    await using world = await openListed();
    const status = world.images.imageStatus("../../etc");
    await expect(status).rejects.toMatchObject({ kind: "ReferenceInvalid" });
    expect(await world.images.imageStatus("ABCDEF")).toBeUndefined();
  });

  test("requireImage says what is not here, escaped", async () => {
    await using world = await openListed();
    const require = world.images.requireImage("nothing");
    await expect(require).rejects.toMatchObject({
      code: "ERR_IMAGE_NOT_FOUND",
      kind: "ImageNotFound",
      message: expect.stringContaining('"nothing"'),
    });
  });
});

describe("inspect", () => {
  test("adds manifest, config and layers", async () => {
    await using world = await openListed();
    const image = await world.images.inspect(`${APP}:1`);
    expect(image).toMatchObject({
      id: ONE.id,
      manifest: { config: { digest: ONE.id } },
      manifestDescriptor: { digest: ONE.descriptor.digest },
      config: { os: "linux", config: { User: "1000:1000" } },
      layers: [{ diffID: [...ONE.blobs.keys()][0], blob: { digest: [...ONE.blobs.keys()][0] } }],
    });
    expect(image.topLayer).toBe(image.layers[0]?.id);
  });
});

describe("tag", () => {
  test("R3 a name belongs to one image, and moves", async () => {
    await using world = await openListed();
    expect(await world.images.tag("busybox", `${APP}:1`)).toBe(`${APP}:1`);
    expect((await world.images.requireImage(ONE.id)).names).toEqual([]);
    expect((await world.images.requireImage(TWO.id)).names).toEqual([
      `${APP}:1`,
      "docker.io/library/busybox:latest",
    ]);
  });

  test("fills in the registry and the tag of the new name", async () => {
    await using world = await openListed();
    expect(await world.images.tag(`${APP}:1`, "mine")).toBe("docker.io/library/mine:latest");
  });

  test("refuses a name with a digest, and an image that is not here", async () => {
    await using world = await openListed();
    const digested = world.images.tag("busybox", `${APP}@${ONE.descriptor.digest}`);
    await expect(digested).rejects.toMatchObject({ code: "ERR_IMAGE_INVALID_ARGUMENT" });
    const missing = world.images.tag("nothing", `${APP}:2`);
    await expect(missing).rejects.toMatchObject({ code: "ERR_IMAGE_NOT_FOUND" });
  });
});

async function openListed(): Promise<TestWorld> {
  const world = await openWorld();
  await world.registry.push(`${APP}:1`, ONE);
  await world.registry.push("docker.io/library/busybox:latest", TWO);
  await world.images.pull(`${APP}:1`);
  await world.images.pull("busybox");
  return world;
}

async function damage(path: string): Promise<void> {
  await chmod(path, 0o600);
  await writeFile(path, "{ damaged");
}
