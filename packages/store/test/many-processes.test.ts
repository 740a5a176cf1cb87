import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { openWorld, type StoreWorld } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

describe("R22: several processes", () => {
  test("store the same image at once: all succeed, one copy", async () => {
    await using world = await openWorld();
    const workers = await Promise.all(Array.from({ length: 4 }, () => startWorker(world)));
    const ids = await Promise.all(workers.map((worker, index) => worker.ask(`store app:${index}`)));
    expect(new Set(ids).size).toBe(1);
    await Promise.all(workers.map((worker) => worker.end()));
    expect(await world.store.info()).toMatchObject({ images: 1, layers: 2, blobs: 4 });
    expect(await world.store.images.allNames()).toHaveLength(4);
    const index = JSON.parse(readFileSync(join(world.root, "index.json"), "utf8"));
    expect(index.manifests).toHaveLength(4);
    expect(unfinished(world.root)).toEqual([]);
  });

  test("store and remove the same image in turn: what is said to be stored is whole", async () => {
    await using world = await openWorld();
    const [one, two] = await Promise.all([startWorker(world), startWorker(world)]);
    const id = await one.ask("store app:1");
    for (let round = 0; round < 5; round += 1) {
      const [stored] = await Promise.all([one.ask("store app:1"), two.ask(`remove ${id}`)]);
      expect([id, expect.objectContaining({ error: expect.any(String) })]).toContainEqual(stored);
      const { images, damaged } = await world.store.images.list();
      expect(damaged).toEqual([]);
      for (const image of images) {
        for (const layer of image.layers) await world.store.layers.get(layer);
        expect(await world.store.blobs.stat(image.config.digest)).toBeDefined();
      }
    }
    await Promise.all([one.end(), two.end()]);
  });

  test("raise the same mark at once: the highest stays", async () => {
    await using world = await openWorld();
    const workers = await Promise.all(Array.from({ length: 4 }, () => startWorker(world)));
    for (let round = 0; round < 10; round += 1) {
      const values = workers.map((_, index) => round * 10 + ((index * 3) % 4));
      const told = await Promise.all(
        workers.map((worker, index) => worker.ask(`raise ${values[index]}`)),
      );
      const highest = Math.max(...values);
      expect(await world.store.marks.highest("mark")).toBe(highest);
      for (const [index, value] of told.entries()) {
        expect(value).toBeGreaterThanOrEqual(values[index] ?? 0);
        expect(value).toBeLessThanOrEqual(highest);
      }
    }
    await Promise.all(workers.map((worker) => worker.end()));
  });

  test("R20: one killed while it stores leaves nothing half visible, and the next one stores", async () => {
    await using world = await openWorld();
    for (const wait of [1, 5, 10, 20, 40, 80]) {
      const worker = await startWorker(world);
      const answer = worker.ask("store app:1").catch(() => "killed");
      const timer = new Promise((resolve) => setTimeout(resolve, wait));
      await Promise.race([timer, answer]);
      await worker.kill();
      await using store = await openStore(world);
      const { images, damaged } = await store.images.list();
      expect(damaged).toEqual([]);
      for (const image of images) {
        for (const layer of image.layers) await store.layers.get(layer);
      }
      for (const layer of await Array.fromAsync(store.layers.walk())) {
        expect(readdirSync(store.layers.diffPath(layer.id)).length).toBeGreaterThan(0);
      }
      expect(unfinished(world.root)).toEqual([]);
    }
    const worker = await startWorker(world);
    expect(await worker.ask("store app:1")).toMatch(/^sha256:/);
    await worker.end();
    expect(await world.store.info()).toMatchObject({ images: 1, layers: 2, blobs: 4 });
  });
});

describe("R15: mounts", () => {
  test.skipIf(!IS_ROOT)(
    `are counted across processes, one of which is killed${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const { store } = world;
      const { id } = await store.containers.create({ names: ["c"], metadata: "" });
      const [one, two, three] = await Promise.all([
        startWorker(world),
        startWorker(world),
        startWorker(world),
      ]);
      const counts = await Promise.all(
        [one, two, three].map((worker) => worker.ask(`mount ${id}`)),
      );
      expect(counts.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3]);
      await two.kill();
      expect((await store.mounts.list())[0]).toMatchObject({ id, count: 3 });
      expect(await one.ask(`unmount ${id}`)).toBe(2);
      expect(await three.ask(`unmount ${id}`)).toBe(1);
      expect(await store.mounts.unmountContainer(id)).toBe(0);
      expect(await store.mounts.mountPointOf(id)).toBeUndefined();
      await Promise.all([one.end(), three.end()]);
    },
  );

  test.skipIf(!IS_ROOT)(
    `of the same container by many at once are one mount${NEEDS_ROOT}`,
    async () => {
      await using world = await openWorld();
      const { store } = world;
      const { id } = await store.containers.create({ names: ["c"], metadata: "" });
      const workers = await Promise.all(Array.from({ length: 3 }, () => startWorker(world)));
      const asks = workers.flatMap((worker) => Array.from({ length: 4 }, () => worker));
      await Promise.all(asks.map((worker) => worker.ask(`mount ${id}`)));
      const mountPoint = await store.mounts.mountPointOf(id);
      const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
      expect(lines.filter((line) => line.includes(` ${mountPoint} `))).toHaveLength(1);
      const left = await Promise.all(asks.map((worker) => worker.ask(`unmount ${id}`)));
      expect(left.toSorted((a, b) => Number(a) - Number(b))).toEqual(asks.map((_, index) => index));
      await Promise.all(workers.map((worker) => worker.end()));
    },
  );
});

/** What lies in staging directories; the living may have empty ones. */
function unfinished(root: string): readonly string[] {
  const entries = readdirSync(join(root, "staging"), { recursive: true, encoding: "utf8" });
  return entries.filter((entry) => entry.includes("/"));
}

interface Worker {
  ask(line: string): Promise<unknown>;
  end(): Promise<void>;
  kill(): Promise<void>;
}

async function startWorker(world: StoreWorld): Promise<Worker> {
  const script = join(import.meta.dirname, "support/store-worker.ts");
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [
    "--conditions=@stowage/source",
    script,
    world.root,
    world.runRoot,
  ]);
  child.stderr.pipe(process.stderr);
  child.stdin.on("error", () => {});
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  let last: Promise<unknown> = Promise.resolve();
  return {
    ask(line) {
      const answer = last.then(async () => {
        child.stdin.write(`${line}\n`);
        const { value, done } = await lines.next();
        if (done) throw new Error("the process is gone");
        return JSON.parse(value);
      });
      last = answer.catch(() => {});
      return answer;
    },
    async end() {
      child.stdin.end();
      await ended;
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
