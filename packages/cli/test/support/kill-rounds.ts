import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { pushRandomImage, startCountingProxy, startDockerRegistry } from "@stowage/testkit";

import { BUILT_MAIN } from "./built-main.ts";
import { openCliWorld } from "./cli-world.ts";

export interface KillRoundsOptions {
  readonly seed: string;
  /** Sizes of the layers in bytes. */
  readonly layers: readonly number[];
  readonly kills: number;
  /** Kill the registry too, and start it again, after each kill. */
  readonly restartRegistry: boolean;
  /** Bytes a second that come from the registry; none is as fast as the loopback goes. */
  readonly linkRate?: number | undefined;
}

/** What {@link runKillRounds} saw. */
export interface KillRounds {
  /** Bytes of config and layers. */
  readonly size: number;
  /** Bytes that the registry sent, over all rounds, headers included. */
  readonly transferred: number;
  /** Pulls that were alive when they were killed. */
  readonly killed: number;
  readonly canonical: string;
  readonly expected: string;
  /** What the store's own check says afterwards: blobs whose bytes are those of their names. */
  readonly sound: boolean;
}

const MOST_DELAY = 50;

/**
 * Pulls one image again and again, and kills each pull with SIGKILL at a moment that the seed
 * chooses; the last pull may end. The moments are points of the transfer, each with a delay of up to
 * 50 ms, so that they fall into it on a fast machine and on a slow one.
 */
export async function runKillRounds(options: KillRoundsOptions): Promise<KillRounds> {
  const { seed, layers, kills, restartRegistry, linkRate } = options;
  const random = randomOf(seed);
  await using world = await openCliWorld();
  await using registry = await startDockerRegistry();
  const { url } = registry;
  const image = await pushRandomImage({ url, repository: "team/app", tag: "1", layers, seed });
  let crossed = (_total: number): void => {};
  await using proxy = await startCountingProxy({
    target: registry.host,
    linkRate,
    onBytes: (total) => crossed(total),
  });
  const name = `${proxy.host}/team/app:1`;
  const points = Array.from({ length: kills }, () => random() * image.size);
  let killed = 0;
  for (const point of points.toSorted((a, b) => a - b)) {
    const pull = spawn(
      process.execPath,
      [BUILT_MAIN, "--no-progress", "pull", "--tls-verify=false", name],
      { env: world.env, stdio: ["ignore", "ignore", "inherit"] },
    );
    const closed = once(pull, "close");
    const reached = new Promise<void>((resolve) => {
      crossed = (total) => total >= point && resolve();
      crossed(proxy.bytes);
    });
    await Promise.race([reached.then(() => sleep(random() * MOST_DELAY)), closed]);
    pull.kill("SIGKILL");
    const [, signal] = (await closed) as [number | null, NodeJS.Signals | null];
    if (signal === "SIGKILL") killed += 1;
    if (restartRegistry) await registry.restart();
  }
  crossed = () => {};
  const canonical = await world.ok("pull", "--tls-verify=false", name);
  const transferred = proxy.bytes;
  const again = await world.ok("pull", "--tls-verify=false", name);
  return {
    size: image.size,
    transferred,
    killed,
    canonical,
    expected: `${proxy.host}/team/app@${image.manifest.digest}`,
    sound: again === canonical && proxy.bytes - transferred < 64 * 1024,
  };
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomOf(seed: string): () => number {
  let state = [...seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 1);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
