import { createRuntime } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { KEPT_NAME, openCrashWorld } from "../src/crash-world.ts";
import { ALL_SYNCS } from "../src/cut-power.ts";
import { SCENARIOS } from "../src/scenarios.ts";
import { type Decision, runStepped, WHAT_STEPPING_NEEDS } from "../src/step-tracer.ts";
import { STOWAGE_WORDS, stowageEnv } from "../src/stowage.ts";

const NEEDS = WHAT_STEPPING_NEEDS === "" ? "" : ` (needs ${WHAT_STEPPING_NEEDS})`;
/** Nothing comes near it, unless it has to wait for the other. */
const PATIENCE_MS = 45_000;

type Store = Awaited<ReturnType<typeof createRuntime>>["store"];
type Work = (store: Store, signal: AbortSignal) => Promise<unknown>;

const READING: readonly Work[] = [
  (store) => store.images.list(),
  (store) => store.containers.list(),
  (store) => keptImage(store),
  (store) => store.usage(),
  async (store) => {
    const { config } = await store.images.get(await keptImage(store));
    return await Array.fromAsync(store.blobs.openContent(config));
  },
];
const USING: readonly Work[] = [
  async (store, signal) => {
    const id = await keptImage(store);
    await store.mounts.mountImage(id, { signal });
    await store.mounts.unmountImage(id, { signal });
  },
  async (store, signal) => {
    const imageId = await keptImage(store);
    const { layers } = await store.images.get(imageId);
    const topLayer = layers.at(-1);
    const made = { names: ["beside"], imageId, topLayer, metadata: "" };
    const { id } = await store.containers.create(made, { signal });
    await store.mounts.mountContainer(id, { signal });
    await store.containers.remove(id, { signal });
  },
  async (store, signal) => {
    await using _lease = await store.createLease({ blobs: [], signal });
  },
];

describe.skipIf(NEEDS !== "")(`while another process waits for the disk${NEEDS}`, () => {
  test.for([
    ["pull", [...READING, ...USING]],
    ["gc", [...READING, ...USING]],
    ["fsck", READING],
    ["rmi", READING],
  ] as const)(
    "D19: at no sync of %s does anything else have to wait for it",
    { timeout: 120_000 },
    async ([name, works]) => {
      await using world = await openCrashWorld();
      const { place } = world;
      const scenario = SCENARIOS.find((one) => one.name === name) ?? expect.fail(name);
      await world.restore(scenario.state, place);
      const { root, runRoot, policy, authfile } = place;
      await using runtime = await createRuntime({ root, runRoot, policyPath: policy, authfile });
      let syncs = 0;
      const { code } = await runStepped({
        words: [...STOWAGE_WORDS, ...scenario.args(world, place)],
        env: stowageEnv(place),
        directories: [root, runRoot],
        async decide({ call }): Promise<Decision> {
          if (!ALL_SYNCS.includes(call)) return "go";
          syncs += 1;
          const signal = AbortSignal.timeout(PATIENCE_MS);
          for (const work of works) await work(runtime.store, signal);
          return "go";
        },
      });
      expect(code).toBe(0);
      expect(syncs).toBeGreaterThan(2);
    },
  );
});

async function keptImage(store: Store) {
  return (await store.images.resolveName(KEPT_NAME)) ?? expect.fail(KEPT_NAME);
}
