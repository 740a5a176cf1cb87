import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";
import type { PruneReport } from "@stowage/image-service";

import { makeImage } from "./support/test-registry.ts";
import { openWorld, type TestWorld } from "./support/test-service.ts";

const APP = "registry.test/ns/app";
const DAY_MS = 86_400_000;

describe("prune", () => {
  test("without a rule takes images that have no name, and what they alone needed", async () => {
    await using world = await openWorld();
    const [old] = await pull(world, ["old"], "1");
    const [now] = await pull(world, ["now"], "1");
    expect((await world.store.info()).layers).toBe(2);
    const report = await world.images.prune();
    expect(removed(report)).toEqual([old]);
    expect(await ids(world)).toEqual([now]);
    expect((await world.store.info()).layers).toBe(1);
  });

  test("takes what was not used for a while, by last use and not by the age of the image", async () => {
    await using world = await openWorld();
    const [one, two] = await pull(world, ["one", "two"]);
    setUse(world, one, 40);
    setUse(world, two, 40);
    await world.store.containers.create({ names: [], metadata: "", imageId: two as never });
    await removeContainers(world);
    const report = await world.images.prune({ unusedForMs: 30 * DAY_MS, dryRun: true });
    expect(reasons(report)).toEqual({
      [one ?? ""]: "remove: it was last used 40 days ago",
      [two ?? ""]: "keep: no rule takes it; it was last used 0 seconds ago",
    });
    expect(await ids(world)).toHaveLength(2);
    expect(removed(await world.images.prune({ unusedForMs: 30 * DAY_MS }))).toEqual([one]);
  });

  test("takes what was stored long ago, whatever its use", async () => {
    await using world = await openWorld();
    const [one, two] = await pull(world, ["one", "two"]);
    age(world, one, 9);
    const report = await world.images.prune({ olderThanMs: 8 * DAY_MS });
    expect(removed(report)).toEqual([one]);
    expect(await ids(world)).toEqual([two]);
  });

  test("keeps the newest tags of each repository; images go with their last name", async () => {
    await using world = await openWorld();
    const [one, two, three] = await pull(world, ["one", "two", "three"]);
    await world.images.tag(`${APP}:one`, "registry.test/other:one");
    const report = await world.images.prune({ keepTags: 1 });
    expect(removed(report)).toEqual(sorted(`${APP}:one`, two));
    expect((await ids(world)).toSorted()).toEqual(sorted(one, three));
    const names = (await world.images.listImages()).flatMap((image) => image.names);
    expect(names.toSorted()).toEqual([`${APP}:three`, "registry.test/other:one"]);
  });

  test("takes the least recently used until the rest fits, and shared layers count once", async () => {
    await using world = await openWorld();
    const pulled = await pull(world, ["one", "two", "three"], undefined, ["base"]);
    for (const [days, id] of [30, 10, 20].entries()) setUse(world, pulled[days], id);
    const [one, two, three] = pulled;
    const { items } = await world.images.prune({ keepBytes: 0, dryRun: true });
    expect(items.filter(({ action }) => action === "remove")).toHaveLength(3);
    // An archive and what it unpacks to have 2048 bytes each; the base is in all.
    const fits = 2 * 2 * 2048 + 2 * 2048 + 2000;
    expect(removed(await world.images.prune({ keepBytes: fits }))).toEqual([one]);
    expect((await ids(world)).toSorted()).toEqual(sorted(two, three));
  });

  test("never takes what is pinned or used by a container, whatever the rules say, and says so", async () => {
    await using world = await openWorld({ pinned: [`${APP}:one`] });
    const [one, two, three] = await pull(world, ["one", "two", "three"]);
    for (const id of [one, two, three]) setUse(world, id, 400);
    await world.store.containers.create({ names: ["c"], metadata: "", imageId: two as never });
    for (const id of [one, two]) setUse(world, id, 400);
    const all = { unusedForMs: DAY_MS, olderThanMs: 0, keepTags: 0, keepBytes: 0 };
    const report = await world.images.prune(all);
    expect(reasons(report)).toMatchObject({
      [one ?? ""]: `keep: it is pinned, as ${APP}:one`,
      [two ?? ""]: "keep: container c uses it",
      [three ?? ""]: expect.stringContaining("remove"),
    });
    expect((await ids(world)).toSorted()).toEqual(sorted(one, two));
    expect(await world.images.check({ deep: true })).toMatchObject({ damages: [] });
  });

  test("a dry run says what then happens", async () => {
    await using world = await openWorld();
    await pull(world, ["one", "two", "three"]);
    const planned = await world.images.prune({ keepTags: 2, dryRun: true });
    const done = await world.images.prune({ keepTags: 2 });
    expect(planned.items).toEqual(done.items);
    expect([planned.dryRun, done.dryRun]).toEqual([true, false]);
  });
});

async function pull(
  world: TestWorld,
  files: readonly string[],
  tag?: string,
  base: readonly string[] = [],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const file of files) {
    const name = `${APP}:${tag ?? file}`;
    await world.registry.push(name, makeImage({ files: [...base, file] }));
    found.push((await world.images.pull(name)).id);
  }
  return found;
}

function setUse(world: TestWorld, id: string | undefined, days: number): void {
  const past = new Date(Date.now() - days * DAY_MS - 1000);
  const directory = join(world.store.root, "images", (id ?? "").slice("sha256:".length));
  utimesSync(join(directory, "last-used"), past, past);
  // It is not older than that.
  age(world, id, days);
}

function age(world: TestWorld, id: string | undefined, days: number): void {
  const directory = join(world.store.root, "images", (id ?? "").slice("sha256:".length));
  const file = join(directory, "image.json");
  const created = new Date(Date.now() - days * DAY_MS - 1000).toISOString();
  const record = { ...JSON.parse(readFileSync(file, "utf8")), created };
  writeFileSync(file, JSON.stringify(record));
}

async function removeContainers(world: TestWorld): Promise<void> {
  const { containers } = await world.store.containers.list();
  for (const { id } of containers) await world.store.containers.remove(id);
}

function sorted(...texts: readonly (string | undefined)[]): readonly string[] {
  return texts.map(String).toSorted();
}

async function ids(world: TestWorld): Promise<readonly string[]> {
  return (await world.images.listImages()).map(({ id }) => id);
}

function removed({ items }: PruneReport): readonly string[] {
  return items.flatMap(({ id, action }) => (action === "remove" ? [id] : [])).toSorted();
}

function reasons({ items }: PruneReport): Readonly<Record<string, string>> {
  return Object.fromEntries(items.map(({ id, action, reason }) => [id, `${action}: ${reason}`]));
}
