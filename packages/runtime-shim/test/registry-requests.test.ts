import { subscribe, unsubscribe } from "node:diagnostics_channel";

import type { RequestMessage } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { openRuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const CHANNEL = "stowage:registry:request";

interface Asked {
  readonly path: string;
  /** Milliseconds. */
  readonly at: number;
}

describe("pulls of what is here", () => {
  test("ask the registry once what it is", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await world.runtime.images.pull(served.name, {});
    const asked = await requestsOf(() => world.runtime.images.pull(served.name, {}));
    expect(asked.map(({ path }) => path).filter((path) => path === "/v2/")).toHaveLength(1);
    expect(asked.length).toBeGreaterThan(1);
  });

  test("of one runtime are together held to so many requests a second", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld({ requestsPerSecond: 5 });
    const { images } = world.runtime;
    await images.pull(served.name, {});
    // One after the other: those of one image at the same time are one.
    const asked = await requestsOf(async () => {
      for (let pull = 0; pull < 3; pull += 1) await images.pull(served.name, {});
    });
    const times = asked.map(({ at }) => at).toSorted((a, b) => a - b);
    expect(times.length).toBeGreaterThan(3);
    const spent = (times.at(-1) ?? 0) - (times[0] ?? 0);
    expect(spent).toBeGreaterThan((times.length - 1) * 200 - 20);
  });
});

/** The requests that were answered while a task ran. */
async function requestsOf(task: () => Promise<unknown>): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  const hear = (message: unknown): void => {
    const { url, status, duration } = message as RequestMessage;
    if (status === undefined) return;
    asked.push({ path: new URL(url).pathname, at: performance.now() - duration });
  };
  subscribe(CHANNEL, hear);
  try {
    await task();
  } finally {
    unsubscribe(CHANNEL, hear);
  }
  return asked;
}
