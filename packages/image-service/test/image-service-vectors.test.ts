import { readFileSync } from "node:fs";
import { join } from "node:path";

import { type Digest, encodedOf } from "@stowage/content";
import { createPinnedMatcher, type ImageStatus, imageUser } from "@stowage/image-service";
import { describe, expect, test } from "vitest";

import { coded, makeImage, type TestImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "127.0.0.1:5000/ns/app";
const OTHER = "127.0.0.1:5000/ns/other";
const MULTI = "127.0.0.1:5000/ns/multi";
const ARM = { os: "linux", architecture: "arm64" };

const M1 = makeImage({ files: ["one"] });
const M2 = makeImage({ files: ["two"] });
const D1 = M1.descriptor.digest;

/** Each gets a world in which IS-001 has happened, and says what must hold then. */
const AFTER_PULL: Readonly<Record<string, (world: TestWorld) => Promise<void>>> = {
  "IS-001": async ({ images, registry }) => {
    const pulled = await images.pull(`${APP}:1`);
    expect(pulled).toMatchObject({ canonical: `${APP}@${D1}`, id: M1.id, names: [`${APP}:1`] });
    expect(registry.opens.closes).toBe(registry.opens.count);
  },
  "IS-002": async ({ images }) => {
    expect(await images.listImages()).toMatchObject([
      { tags: [`${APP}:1`], digests: [`${APP}@${D1}`], canonical: `${APP}@${D1}` },
    ]);
  },
  "IS-003": finds(`${APP}@${D1}`, M1),
  "IS-004": finds(`${OTHER}@${D1}`, undefined),
  "IS-005": finds(`${APP}:2`, undefined),
  "IS-006": finds(`${APP}:1@${D1}`, M1),
  "IS-008": async (world) => {
    const hex = encodedOf(M1.id);
    for (const text of [hex, hex.slice(0, 12), hex.slice(0, 3)]) {
      await finds(text, M1)(world);
      await finds(`sha256:${text}`, M1)(world);
    }
  },
  "IS-009": finds(encodedOf(M1.id).slice(0, 2), undefined),
  "IS-010": finds("0".repeat(64), undefined),
  "IS-012": finds(encodedOf(M1.id).toUpperCase(), undefined),
  "IS-014": async ({ images, registry }) => {
    registry.fetched.length = 0;
    const { names } = await images.pull(`${APP}@${D1}`);
    expect(names).toEqual([`${APP}@${D1}`, `${APP}:1`]);
    expect(registry.fetched).toEqual([]);
  },
  "IS-015": async ({ images, registry }) => {
    await images.pull(`${APP}@${D1}`);
    registry.asked.length = 0;
    expect((await images.pull(`${APP}:1`)).names).toEqual([`${APP}:1`, `${APP}@${D1}`]);
    expect(registry.asked).toEqual(["1"]);
  },
  "IS-016": async ({ images, registry }) => {
    await images.pull(`${APP}@${D1}`);
    await registry.push(`${APP}:1`, M2);
    expect((await images.pull(`${APP}:1`)).names).toEqual([`${APP}:1`]);
    expect((await images.requireImage(M1.id)).names).toEqual([`${APP}@${D1}`]);
  },
  "IS-017": async ({ images, registry }) => {
    await registry.push(`${APP}:1`, M2);
    await images.pull(`${APP}:1`);
    const nameless = await images.requireImage(M1.id);
    expect(nameless).toMatchObject({ names: [], tags: [], digests: [] });
    expect(nameless.canonical).toBe(`${APP}@${D1}`);
    expect(await images.listImages()).toHaveLength(2);
  },
  "IS-018": async (world) => {
    await world.registry.push(`${APP}:1`, M2);
    await world.images.pull(`${APP}:1`);
    await finds(`${APP}@${D1}`, undefined)(world);
  },
  "IS-020": async ({ images, registry }) => {
    for (const name of [`${APP}:2`, `${OTHER}:x`]) {
      await registry.push(name, M1);
      await images.pull(name);
    }
    const [image, ...rest] = await images.listImages();
    expect(rest).toEqual([]);
    expect(image).toMatchObject({
      names: [`${OTHER}:x`, `${APP}:2`, `${APP}:1`],
      tags: [`${APP}:1`, `${APP}:2`, `${OTHER}:x`],
      digests: [`${APP}@${D1}`, `${OTHER}@${D1}`],
    });
  },
  "IS-021": async ({ images, registry }) => {
    const twin = makeImage({
      files: ["one"],
      manifest: (it) => ({ ...it, annotations: { a: "b" } }),
    });
    await registry.push(`${APP}:2`, twin);
    await images.pull(`${APP}:2`);
    const digests = [D1, twin.descriptor.digest].map((digest) => `${APP}@${digest}`).sort();
    expect(await images.listImages()).toMatchObject([{ digests }]);
    expect(await images.requireImage(`${APP}:2`)).toMatchObject({
      canonical: `${APP}@${twin.descriptor.digest}`,
    });
    expect(await images.requireImage(`${APP}@${D1}`)).toMatchObject({ canonical: `${APP}@${D1}` });
  },
  "IS-022": async ({ images, registry }) => {
    await registry.push(`${OTHER}:x`, M1);
    await images.pull(`${OTHER}@${D1}`);
    const digests = [`${APP}@${D1}`, `${OTHER}@${D1}`];
    expect(await images.listImages()).toMatchObject([{ digests }]);
  },
  "IS-030": async ({ images }) => {
    await images.tag(`${APP}:1`, `${APP}:2`);
    expect(await images.untagImage(`${APP}:1`)).toEqual({
      names: [`${APP}:1`],
      kept: { id: M1.id, names: [`${APP}:2`] },
    });
    expect((await images.requireImage(M1.id)).names).toEqual([`${APP}:2`]);
  },
  "IS-033": async ({ images, store }) => {
    await images.pull(`${APP}@${D1}`);
    await useImage(store, M1.id);
    await images.untagImage(`${APP}:1`);
    expect((await images.requireImage(M1.id)).names).toEqual([`${APP}@${D1}`]);
  },
  "IS-036": async ({ images }) => {
    await images.tag(`${APP}:1`, `${APP}:2`);
    const gone = await images.removeImage(M1.id);
    expect(gone).toEqual({ id: M1.id, names: [`${APP}:2`, `${APP}:1`] });
    expect(await images.listImages()).toEqual([]);
  },
  "IS-050": async ({ images }) => {
    expect(await images.listImages("no-such-name")).toEqual([]);
  },
  "IS-053": async ({ images }) => {
    expect(await images.listImages(`${APP}:1`)).toEqual([await images.imageStatus(`${APP}:1`)]);
  },
  "IS-060": async ({ images }) => {
    await expect(images.pull("")).rejects.toMatchObject({ kind: "ReferenceInvalid" });
  },
  "IS-061": async ({ images, registry }) => {
    registry.beforeManifest = async () => {
      throw coded("ERR_TEST_DOWN");
    };
    await expect(images.pull(`${APP}:1`)).rejects.toMatchObject({ code: "ERR_TEST_DOWN" });
  },
  "IS-062": async ({ images, registry }) => {
    await registry.push(`${APP}:1`, M2);
    const pulled = await images.pull(`${APP}:1`);
    expect(pulled).toMatchObject({ id: M2.id, transferred: { blobs: 2 } });
  },
  "IS-063": async ({ images }) => {
    const pulled = await images.pull(`${APP}:1`);
    expect(pulled).toMatchObject({ id: M1.id, transferred: { blobs: 0, bytes: 0 } });
  },
  "IS-067": async ({ images }) => {
    expect((await images.pull(`${APP}@${D1}`)).name).toBe(`${APP}@${D1}`);
  },
  "IS-071": async ({ images, registry }) => {
    registry.lies.set(D1, Buffer.from(`${Buffer.from(M1.bytes).toString()} `));
    const pull = images.pull(`${APP}@${D1}`);
    await expect(pull).rejects.toMatchObject({ kind: "DigestMismatch" });
  },
  "IS-072": async (world) => {
    await world.registry.push(`${APP}:2`, M2);
    world.registry.fetched.length = 0;
    world.judge = async () => {
      throw coded("ERR_TEST_REJECTED");
    };
    const pull = world.images.pull(`${APP}:2`);
    await expect(pull).rejects.toMatchObject({ code: "ERR_TEST_REJECTED" });
    expect(world.registry.fetched).toEqual([]);
    await finds(`${APP}:2`, undefined)(world);
  },
  "IS-073": async ({ images, registry }) => {
    await registry.push(`${APP}:2`, M2);
    const [layer] = M2.blobs;
    registry.lies.set(layer?.[0] as Digest, Buffer.alloc(layer?.[1].byteLength ?? 0));
    const pull = images.pull(`${APP}:2`);
    await expect(pull).rejects.toMatchObject({ kind: "DigestMismatch" });
    expect(await images.listImages()).toHaveLength(1);
  },
  "IS-079": async ({ images, registry }) => {
    await registry.push(`${APP}:arm`, makeImage({ platform: ARM }));
    expect((await images.pull(`${APP}:arm`)).name).toBe(`${APP}:arm`);
  },
  "IS-080": async ({ images, registry }) => {
    await registry.pushIndex(`${MULTI}:1`, [M1], ["linux/s390x"]);
    const pull = images.pull(`${MULTI}:1`);
    await expect(pull).rejects.toMatchObject({ kind: "PlatformNotFound" });
  },
  "IS-081 IS-082 IS-083 IS-085": async ({ images, registry }) => {
    await images.removeImage(M1.id);
    const index = await registry.pushIndex(`${MULTI}:1`, [M1], ["linux/amd64"]);
    const pulled = await images.pull(`${MULTI}:1`);
    expect(pulled).toMatchObject({ canonical: `${MULTI}@${D1}`, names: [`${MULTI}:1`] });
    expect(await images.requireImage(`${MULTI}:1`)).toMatchObject({
      canonical: `${MULTI}@${D1}`,
      indexCanonical: `${MULTI}@${index}`,
      digests: [`${MULTI}@${D1}`, `${MULTI}@${index}`].sort(),
    });
    expect(await images.imageStatus(`${MULTI}@${index}`)).toMatchObject({ id: M1.id });
    const again = await images.pull(`${MULTI}@${index}`);
    expect(again.names).toEqual([`${MULTI}@${index}`, `${MULTI}:1`]);
    expect(again.canonical).toBe(`${MULTI}@${D1}`);
  },
  "IS-086 IS-087": async (world) => {
    const { images, registry } = world;
    await images.removeImage(M1.id);
    const arm = makeImage({ files: ["arm"], platform: ARM });
    const index = await registry.pushIndex(`${MULTI}:1`, [M1, arm], ["linux/amd64", "linux/arm64"]);
    await images.pull(`${MULTI}:1`);
    await images.pull(`${MULTI}@${index}`);
    await images.pull(`${MULTI}@${index}`, { platform: ARM });
    expect((await images.requireImage(arm.id)).names).toEqual([`${MULTI}@${index}`]);
    expect((await images.requireImage(M1.id)).names).toEqual([`${MULTI}:1`]);
    await finds(`${MULTI}@${index}`, undefined)(world);
    await finds(`${MULTI}@${arm.descriptor.digest}`, arm)(world);
    await finds(`${MULTI}@${D1}`, M1)(world);
  },
  "IS-089": async ({ images, registry }) => {
    registry.beforeManifest = async () => {
      throw coded("ECONNREFUSED");
    };
    await expect(images.pull(`${APP}:1`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(registry.asked).toEqual(["1", "1"]);
  },
  "IS-140": async (world) => {
    world.judged.length = 0;
    await world.images.requireAllowed(`${APP}:1`);
    await world.images.requireAllowed(M1.id);
    expect(world.judged).toMatchObject([
      { reference: { tag: "1" }, manifest: { digest: D1 }, stored: true },
      { reference: { tag: "1" }, manifest: { digest: D1 }, stored: true },
    ]);
    world.judge = async () => {
      throw coded("ERR_TEST_REJECTED");
    };
    const refused = world.images.requireAllowed(`${APP}:1`);
    await expect(refused).rejects.toMatchObject({ code: "ERR_TEST_REJECTED" });
  },
  // Those that the README lists as deviations: what happens instead.
  "IS-035 (Q3)": async ({ images }) => {
    const untag = images.untagImage(`${APP}@${D1}`);
    await expect(untag).rejects.toMatchObject({ code: "ERR_IMAGE_NOT_FOUND" });
    expect((await images.requireImage(M1.id)).names).toEqual([`${APP}:1`]);
  },
  "IS-037": async ({ images }) => {
    await images.tag(`${APP}:1`, `${APP}:2`);
    expect(await images.untagImage(encodedOf(M1.id).slice(0, 12))).toMatchObject({ id: M1.id });
  },
  "IS-055 (Q5)": async (world) => {
    await world.store.images.setName("no-tag-and-no-digest", M1.id);
    expect(await world.images.listImages()).toMatchObject([{ names: [`${APP}:1`] }]);
    expect(world.warnings).toHaveLength(1);
  },
  "IS-056": async ({ images }) => {
    const [config, layer] = [M1.id, [...M1.blobs.keys()][0]].map(
      (digest) => M1.blobs.get(digest as Digest)?.byteLength ?? 0,
    );
    const { size } = (await images.imageStatus(`${APP}:1`)) as ImageStatus;
    expect(size).toBe(M1.bytes.byteLength + (config ?? 0) + (layer ?? 0));
  },
};

const ALONE: Readonly<Record<string, () => Promise<void>>> = {
  "IS-011": async () => {
    await using world = await openWorld();
    const [one, two] = collidingImages();
    for (const [tag, image] of [
      ["1", one],
      ["2", two],
    ] as const) {
      await world.registry.push(`${APP}:${tag}`, image);
      await world.images.pull(`${APP}:${tag}`);
    }
    const prefix = encodedOf(one.id).slice(0, 3);
    await finds(prefix, undefined)(world);
    await world.images.tag(two.id, prefix);
    await finds(prefix, two)(world);
  },
  "IS-013": async () => {
    await using world = await openWorld();
    const prefix = encodedOf(M1.id).slice(0, 4);
    await world.registry.push(`${APP}:1`, M1);
    await world.registry.push(`docker.io/library/${prefix}:latest`, M2);
    await world.images.pull(`${APP}:1`);
    await world.images.pull(`docker.io/library/${prefix}`);
    await finds(prefix, M1)(world);
    await finds(`library/${prefix}`, M2)(world);
  },
  "IS-051": async () => {
    await using world = await openWorld();
    await world.registry.push("docker.io/library/busybox:latest", M1);
    await world.images.pull("busybox");
    expect(await world.images.listImages("busybox")).toMatchObject([{ id: M1.id }]);
    expect(await world.images.listImages("busybox:1")).toEqual([]);
    await finds("busybox", M1)(world);
  },
  "IS-110": async () => {
    expect(createPinnedMatcher(["quay.io/a/b:1"])(["QUAY.io/a/b:1"])).toBe(true);
    expect(createPinnedMatcher(["quay.io/a/b:1"])(["quay.io/a/b:11"])).toBe(false);
  },
  "IS-111 (Q15)": async () => {
    expect(createPinnedMatcher(["quay.io/a*"])(["x.quay.io/ab:1"])).toBe(false);
    expect(createPinnedMatcher(["quay.io/a*"])(["quay.io/ab:1"])).toBe(true);
  },
  "IS-112": async () => {
    expect(createPinnedMatcher(["*pause*"])(["registry.k8s.io/pause:3.9"])).toBe(true);
  },
  "IS-114 (Q15)": async () => {
    expect(createPinnedMatcher(["*"])([`${APP}:1`])).toBe(true);
    expect(createPinnedMatcher(["*"])([])).toBe(false);
    expect(createPinnedMatcher(["**"])([`${APP}:1`])).toBe(true);
  },
  "IS-116": async () => {
    expect(createPinnedMatcher(["*pause*"])([`${APP}:1`, "registry.k8s.io/pause:3"])).toBe(true);
  },
  "IS-120": user("1000:1000", { uid: 1000, username: "" }),
  "IS-121": user("app:grp", { username: "app" }),
  "IS-122": user("", { username: "" }),
  "IS-123": user(":1000", { username: "" }),
  "IS-124": user("-1", { uid: -1, username: "" }),
};

/** In the tests of single files, where the world is another one. */
const ELSEWHERE = ["IS-075", "IS-076", "IS-091", "IS-092", "IS-040", "IS-115"];

describe("image-service.json", () => {
  test.for(Object.entries(AFTER_PULL))("%s", async ([, check]) => {
    await using world = await openWorld();
    await world.registry.push(`${APP}:1`, M1);
    await world.images.pull(`${APP}:1`);
    await check(world);
  });

  test.for(Object.entries(ALONE))("%s", async ([, check]) => await check());

  test("every vector is held, or the README says where it is or why it is not", () => {
    const readme = read("../README.md");
    const held = [...Object.keys(AFTER_PULL), ...Object.keys(ALONE), ...ELSEWHERE].join(" ");
    const lost = vectorIDs("image-service").filter((id) => !`${held} ${readme}`.includes(id));
    expect(lost).toEqual([]);
  });

  test("every vector of a pull is held, or the README says where it is", () => {
    const tests = ["pull-image", "pull-queue", "resolve-manifest"];
    const text = read("../README.md") + tests.map((name) => read(`${name}.test.ts`)).join("");
    const pulls = vectorIDs("pipeline").filter((id) => id.startsWith("PL-"));
    expect(pulls.filter((id) => !text.includes(id))).toEqual([]);
  });
});

function read(path: string): string {
  return readFileSync(join(import.meta.dirname, path), "utf8");
}

function vectorIDs(name: string): readonly string[] {
  const vectors = JSON.parse(read(`vectors/${name}.json`)) as readonly { readonly id: string }[];
  return vectors.map(({ id }) => id);
}

function finds(text: string, image: TestImage | undefined): (world: TestWorld) => Promise<void> {
  return async ({ images }) => {
    expect((await images.imageStatus(text))?.id).toBe(image?.id);
  };
}

function user(text: string, expected: object): () => Promise<void> {
  return async () => expect(imageUser(text)).toEqual(expected);
}

async function useImage(store: TestWorld["store"], imageId: Digest): Promise<void> {
  await store.containers.create({ names: ["user"], imageId, metadata: "{}" });
}

/** Two images whose IDs begin with the same three digits. */
function collidingImages(): [TestImage, TestImage] {
  const seen = new Map<string, number>();
  for (let count = 0; ; count += 1) {
    const config = { author: String(count) };
    const image = makeImage({ config });
    const prefix = encodedOf(image.id).slice(0, 3);
    const earlier = seen.get(prefix);
    if (earlier !== undefined) {
      return [makeImage({ config: { author: String(earlier) } }), image];
    }
    seen.set(prefix, count);
  }
}
