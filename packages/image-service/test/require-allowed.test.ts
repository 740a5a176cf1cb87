import { chmod, truncate, unlink, writeFile } from "node:fs/promises";

import { digestOf } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const NAME = "registry.test/ns/app:1";
const IMAGE = makeImage();
const SIGNATURES = new TextEncoder().encode("signatures");

describe("requireAllowed", () => {
  test("R19 shows the policy what it wanted kept, under the name that is asked for", async () => {
    await using world = await openSigned();
    await world.images.requireAllowed(NAME);
    expect(world.judged.at(-1)).toMatchObject({
      reference: { repository: { host: "registry.test", path: "ns/app" }, tag: "1" },
      manifest: IMAGE.descriptor,
      stored: true,
      signatures: SIGNATURES,
    });
    expect(world.judged.at(-1)).not.toHaveProperty("opened");
  });

  test("R19 what was allowed when it was pulled can be refused later", async () => {
    await using world = await openSigned();
    world.judge = () => Promise.reject(new Error("stricter now"));
    await expect(world.images.requireAllowed(NAME)).rejects.toThrow("stricter now");
  });

  test("V87 a rejection is the end: nothing else is opened, fetched or tried", async () => {
    await using world = await openWorld();
    await world.registry.push(NAME, IMAGE);
    world.judge = () => Promise.reject(new Error("rejected"));
    await expect(world.images.pull(NAME)).rejects.toThrow("rejected");
    expect(world.judged).toHaveLength(1);
    expect(world.registry.fetched).toEqual([]);
    expect(world.registry.opens).toMatchObject({ count: 1, closes: 1 });
  });

  test("a pull again keeps what the policy wants then", async () => {
    await using world = await openSigned();
    world.judge = async () => ({ signatures: Buffer.from("others") });
    await world.images.pull(NAME);
    await world.images.requireAllowed(NAME);
    expect(world.judged.at(-1)?.signatures).toEqual(new Uint8Array(Buffer.from("others")));
    world.judge = async () => undefined;
    await world.images.pull(NAME);
    await world.images.requireAllowed(NAME);
    expect(world.judged.at(-1)).not.toHaveProperty("signatures");
  });

  test("what is kept goes with the image", async () => {
    await using world = await openSigned();
    await world.images.removeImage(NAME);
    expect(await world.store.blobs.stat(digestOf(SIGNATURES))).toBeUndefined();
  });

  test.for([
    ["cut off", (path: string) => truncate(path, 3)],
    ["exchanged", (path: string) => writeFile(path, "SIGNATURES")],
    ["gone", (path: string) => unlink(path)],
  ] as const)("S19 signatures that are %s are damaged, until the next pull", async ([, damage]) => {
    await using world = await openSigned();
    const path = world.store.blobs.path(digestOf(SIGNATURES));
    await chmod(path, 0o644);
    await damage(path);
    await expect(world.images.requireAllowed(NAME)).rejects.toMatchObject({
      code: "ERR_IMAGE_SIGNATURES_DAMAGED",
      kind: "StoreCorrupt",
    });
    await world.images.pull(NAME);
    await world.images.requireAllowed(NAME);
  });
});

async function openSigned(): Promise<TestWorld> {
  const world = await openWorld();
  await world.registry.push(NAME, IMAGE);
  world.judge = async () => ({ signatures: SIGNATURES });
  await world.images.pull(NAME);
  return world;
}
