import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { openWorld, type StoreWorld } from "./support/store-world.ts";

describe("marks", () => {
  test("only rise, each by its name, and outlast whoever told them", async () => {
    await using world = await openWorld();
    const { marks } = world.store;
    expect(await marks.highest("a")).toBeUndefined();
    expect(await marks.raise("a", 5)).toBe(5);
    expect(await marks.raise("a", 3)).toBe(5);
    expect(await marks.raise("b", 4)).toBe(4);
    await using other = await openStore(world);
    expect(await other.marks.highest("a")).toBe(5);
    expect(await other.marks.raise("a", 7)).toBe(7);
    expect(await marks.raise("a", 6)).toBe(7);
    expect(filesOf(world)).toHaveLength(2);
  });

  test("are not what else lies there, and nothing but whole numbers", async () => {
    await using world = await openWorld();
    const { marks } = world.store;
    await marks.raise("a", 1);
    const [entry = ""] = readdirSync(join(world.root, "marks"));
    mkdirSync(join(world.root, "marks", entry, "folder"));
    writeFileSync(join(world.root, "marks", entry, "9x"), "");
    expect(await marks.highest("a")).toBe(1);
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) {
      const refused = { code: "ERR_STORE_INVALID_ARGUMENT" };
      await expect(marks.raise("a", value)).rejects.toMatchObject(refused);
    }
    expect(await marks.raise("a", Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("that can not be read or noted fail by name", async () => {
    await using world = await openWorld();
    const path = join(world.root, "marks");
    rmSync(path, { recursive: true });
    writeFileSync(path, "");
    const refused = { code: "ERR_STORE_IO" };
    await expect(world.store.marks.highest("a")).rejects.toMatchObject(refused);
    await expect(world.store.marks.raise("a", 1)).rejects.toMatchObject(refused);
    rmSync(path);
  });
});

function filesOf({ root }: StoreWorld): readonly string[] {
  const marks = join(root, "marks");
  return readdirSync(marks).flatMap((name) => readdirSync(join(marks, name)));
}
