/**
 * Many processes at one store: they pull, remove, tag, create, start, stop and collect overlapping
 * images, and some are killed in the middle of it. In the end nothing that was acknowledged is lost,
 * nothing is damaged, and nothing is left over.
 */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { createMemoryContentStore } from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";
import { createRuntime, type Runtime, type RuntimeOptions } from "@stowage/runtime-shim";
import { putImage, tempDir } from "@stowage/testkit";

import { type SoakProcess, startSoakProcess } from "./soak-process.ts";
import type { SoakOrder } from "./soak-worker.ts";

/** How long and how hard. */
export interface SoakOptions {
  readonly processes: number;
  /** Ends when so many orders were given, or so much time has passed. */
  readonly orders: number;
  readonly durationMs: number;
  /** Of how many orders one is cut off by a kill. */
  readonly killOneOf: number;
  readonly images: number;
  /** The same gives the same orders, though not the same interleaving. */
  readonly seed: number;
}

/** What came of it; each list should be empty. */
export interface SoakReport {
  readonly orders: number;
  readonly kills: number;
  readonly failures: readonly string[];
  readonly lost: readonly string[];
  readonly damages: readonly unknown[];
  readonly leftovers: readonly string[];
  /** Descriptors and bytes of memory of each process that lived, at its first and last look. */
  readonly growth: readonly { readonly fds: number; readonly rss: number }[];
}

const EXPECTED = new Set(["ContainerNotFound", "ImageInUse", "ImageNotFound", "InUse"]);
const MAX_KILL_DELAY_MS = 120;

export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  await using folder = await tempDir("stowage-soak-");
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  await using server = createRegistryServer({ content, tags });
  const { host } = await server.listen();
  const random = createRandom(options.seed);
  const base = randomBytes(200_000);
  const middle = [1, 2, 3, 4].map((at) => randomBytes(at * 20_000));
  const names: string[] = [];
  for (let at = 0; at < options.images; at += 1) {
    const descriptor = await putImage(content, {
      layers: [
        { entries: [{ name: "base", content: base }] },
        { entries: [{ name: "middle", content: middle[at % middle.length] ?? base }] },
        { entries: [{ name: "top", content: `image ${at}` }] },
      ],
    });
    await tags.put(`ns/app-${at}`, descriptor, "1");
    names.push(`${host}/ns/app-${at}:1`);
  }
  const settings = await prepare(folder.path);
  const soak = createSoak(options, settings, names, random);
  await soak.run();
  await using runtime = await createRuntime(settings);
  return { ...soak.tally(), ...(await judge(runtime, soak.owed())) };
}

async function prepare(path: string): Promise<RuntimeOptions> {
  await mkdir(path, { recursive: true });
  const policyPath = join(path, "policy.json");
  const authfile = join(path, "auth.json");
  await writeFile(policyPath, '{"default":[{"type":"insecureAcceptAnything"}]}');
  await writeFile(authfile, "{}");
  const [root, runRoot] = [join(path, "root"), join(path, "run")];
  return { root, runRoot, policyPath, authfile, tlsVerify: false };
}

function createSoak(
  options: SoakOptions,
  settings: RuntimeOptions,
  names: readonly string[],
  random: (below: number) => number,
) {
  const failures: string[] = [];
  const growth: { fds: number; rss: number }[] = [];
  /** Containers that were acknowledged, and that nobody was told to remove. */
  const owed = new Set<string>();
  const idle: string[] = [];
  let orders = 0;
  let kills = 0;
  const until = performance.now() + options.durationMs;
  const isOver = (): boolean => orders >= options.orders || performance.now() >= until;
  const pick = <T>(list: readonly T[]): T | undefined => list[random(list.length)];

  function nextOrder(): SoakOrder {
    const image = pick(names) ?? "";
    const at = random(idle.length);
    const id = idle[at];
    const dice = random(100);
    if (dice < 32) return { op: "pull", image };
    if (dice < 44) return { op: "rmi", image };
    if (dice < 50) return { op: "tag", image, name: `localhost/tag:${random(9)}` };
    if (dice < 56) return { op: "gc" };
    if (dice < 62) return { op: "list" };
    if (dice < 64) return { op: "check" };
    if (dice < 78 || id === undefined) {
      return { op: "create", image, id: randomBytes(32).toString("hex") };
    }
    // One at a time uses a container, so that it is known what has to be there in the end.
    idle.splice(at, 1);
    if (dice < 88) return { op: "start", id };
    if (dice < 94) return { op: "stop", id };
    owed.delete(id);
    return { op: "rm", id };
  }

  async function give(worker: SoakProcess, order: SoakOrder): Promise<boolean> {
    const isKilled = random(options.killOneOf) === 0;
    const answered = worker.ask(order);
    if (isKilled) {
      kills += 1;
      await Promise.race([delay(random(MAX_KILL_DELAY_MS)), answered]);
      worker.kill();
    }
    const answer = await answered;
    const kind = answer?.failure?.kind;
    if (answer?.failure !== undefined && !EXPECTED.has(kind ?? "")) {
      failures.push(`${JSON.stringify(order)}: ${kind}: ${answer.failure.message}`);
    }
    if (order.op === "check" && Array.isArray(answer?.result) && answer.result.length > 0) {
      failures.push(`damaged on the way: ${JSON.stringify(answer.result)}`);
    }
    if (order.op === "create" && answer?.result !== undefined) {
      owed.add(order.id);
      idle.push(order.id);
    }
    if (order.op === "start" || order.op === "stop") idle.push(order.id);
    return !isKilled && answer !== undefined;
  }

  async function look(worker: SoakProcess): Promise<{ fds: number; rss: number } | undefined> {
    return (await worker.ask({ op: "stats" }))?.result as { fds: number; rss: number } | undefined;
  }

  async function runProcess(): Promise<void> {
    while (!isOver()) {
      const worker = await startSoakProcess(settings);
      let first: { fds: number; rss: number } | undefined;
      let done = 0;
      let isAlive = true;
      while (isAlive && !isOver()) {
        orders += 1;
        done += 1;
        isAlive = await give(worker, nextOrder());
        if (isAlive && done === 5) first = await look(worker);
      }
      if (isAlive && first !== undefined) {
        const last = await look(worker);
        if (last) growth.push({ fds: last.fds - first.fds, rss: last.rss - first.rss });
      }
      await worker.end();
    }
  }

  return {
    run: async () => {
      await Promise.all(Array.from({ length: options.processes }, runProcess));
    },
    tally: () => ({ orders, kills, failures, growth }),
    owed: () => owed,
  };
}

async function judge(
  { store, images }: Runtime,
  owed: ReadonlySet<string>,
): Promise<Pick<SoakReport, "damages" | "leftovers" | "lost">> {
  const damages: unknown[] = [...(await store.check({ deep: true })).damages];
  const { containers } = await store.containers.list();
  const lost = [...owed].filter((id) => !containers.some((container) => container.id === id));
  for (const { id } of containers) {
    await store.mounts.mountContainer(id);
    await store.containers.remove(id);
  }
  for (const { id } of await images.listImages()) await images.removeImage(id);
  await store.collectGarbage({ maxIngestAgeMs: 0 });
  const leftovers = ["layers", "blobs/sha256", "images", "names", "containers", "trash", "ingest"]
    .flatMap((kind) => readdirSync(join(store.root, kind)).map((entry) => `${kind}/${entry}`))
    .concat((await store.mounts.list()).map(({ mountPoint }) => mountPoint));
  return { damages, lost, leftovers };
}

/** A generator of Lehmer's: small, and the same everywhere. */
function createRandom(seed: number): (below: number) => number {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return below === 0 ? 0 : state % below;
  };
}
