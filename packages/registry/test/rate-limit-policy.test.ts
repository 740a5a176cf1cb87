import { MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag, type Tag } from "@stowage/reference";
import {
  createRegistryClient,
  type RateLimitPolicy,
  type RegistryClient,
  type RegistryEvent,
  type RepositoryClient,
} from "@stowage/registry";
import { type FaultyRegistry, type Rule, startFaultyRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { goodAnswer } from "./support/good-answer.ts";
import { makeImage } from "./support/images.ts";

const IMAGE = makeImage([1000]);
const LATEST = parseTag("latest");
const MANIFESTS = /\/manifests\//u;

describe("a registry that was asked enough", () => {
  test("is waited for as often as fits into the time that there is, which is no failed attempt", async () => {
    await using world = await openWorld({ wait: 30_000 }, { attempts: 2 });
    world.limit(8, { "retry-after": "0" });
    world.own.rules.push({ match: { path: MANIFESTS, nth: 1 }, do: [{ status: 503 }] });
    await world.fetch();
    expect(world.own.requests).toHaveLength(10);
    const retries = world.events.filter((event) => event.type === "retry");
    const limited = retries.filter(({ reason }) => reason === 429);
    expect(limited).toHaveLength(8);
    for (const { delay } of limited) expect(delay).toBeGreaterThanOrEqual(100);
  });

  test("is waited for longer than usual, if there is the time", async () => {
    await using world = await openWorld({ wait: 120_000 });
    world.limit(1, { "retry-after": "90" });
    const fetching = world.fetch(AbortSignal.timeout(500));
    await expect(fetching).rejects.toMatchObject({ name: "TimeoutError" });
    expect(world.events).toMatchObject([{ type: "retry", delay: 90_000, reason: 429 }]);
  });

  test.for([
    ["no time at all", 0],
    ["less time than it asks for", 6000],
  ] as const)("fails at once, saying when, with %s", async ([, wait]) => {
    await using world = await openWorld({ wait });
    world.limit(5, { "retry-after": "7" });
    await expect(world.fetch()).rejects.toMatchObject({
      code: "ERR_REGISTRY_RATE_LIMITED",
      retryAfter: 7000,
      status: 429,
      hint: expect.stringMatching(/for 7 s\. .*--on-rate-limit 12s.*stowage login/),
    });
    expect(world.own.requests).toHaveLength(1);
  });

  test("says by its own count that nothing is left, and is not asked until there is", async () => {
    await using world = await openWorld({ wait: 10_000 });
    world.own.rules.push({
      match: { path: MANIFESTS, nth: 1 },
      do: [
        {
          headers: {
            "content-type": MEDIA_TYPE.imageManifest,
            "ratelimit-remaining": "0",
            "ratelimit-reset": "1",
          },
        },
        { body: IMAGE.manifest },
      ],
    });
    await world.fetch();
    const begun = performance.now();
    // Blobs are not what it counted.
    await world.readLayer();
    expect(performance.now() - begun).toBeLessThan(900);
    await world.fetch();
    expect(performance.now() - begun).toBeGreaterThan(950);
    expect(world.own.requests.filter(({ path }) => MANIFESTS.test(path))).toHaveLength(2);
  });

  test("is passed over for the next place at once, and left alone for as long as it asked", async () => {
    await using world = await openWorld({ nextPlace: true }, { mirrored: true });
    world.limit(100, { "retry-after": "30" }, world.mirror);
    await world.fetch();
    await world.fetch(undefined, parseTag("other"));
    expect(world.mirror.requests).toHaveLength(1);
    expect(world.own.requests).toHaveLength(2);
    const passed = world.events.filter((event) => event.type === "mirror-failed");
    expect(passed).toMatchObject([
      { error: { code: "ERR_REGISTRY_RATE_LIMITED", status: 429, retryAfter: 30_000 } },
      { error: { code: "ERR_REGISTRY_RATE_LIMITED", retryAfter: expect.any(Number) } },
    ]);
    expect(world.events.some(({ type }) => type === "retry")).toBe(false);
  });

  test("has its mirror asked for a blob in its stead, and is the last to be waited for", async () => {
    await using world = await openWorld({ nextPlace: true, wait: 5000 }, { mirrored: true });
    const blobs = /\/blobs\//u;
    world.limit(1, { "retry-after": "1" }, world.mirror, blobs);
    world.limit(1, { "retry-after": "1" }, world.own, blobs);
    await world.readLayer();
    expect(world.mirror.requests).toHaveLength(1);
    expect(world.own.requests).toHaveLength(2);
  });

  test("is asked again by who would rather have another place and has none", async () => {
    await using world = await openWorld({ nextPlace: true });
    world.limit(2, { "retry-after": "0" });
    await world.fetch();
    expect(world.own.requests).toHaveLength(3);
  });
});

interface World extends AsyncDisposable {
  readonly own: FaultyRegistry;
  readonly mirror: FaultyRegistry;
  readonly events: readonly RegistryEvent[];
  /** Has the first requests refused. */
  limit(
    times: number,
    headers: Readonly<Record<string, string>>,
    server?: FaultyRegistry,
    path?: RegExp,
  ): void;
  fetch(signal?: AbortSignal, tag?: Tag): Promise<void>;
  readLayer(): Promise<void>;
}

async function openWorld(
  rateLimits: RateLimitPolicy,
  {
    mirrored = false,
    attempts = 5,
  }: { readonly mirrored?: boolean; readonly attempts?: number } = {},
): Promise<World> {
  const stack = new AsyncDisposableStack();
  const script = (request: Parameters<typeof goodAnswer>[1]) => goodAnswer(IMAGE, request);
  const own = stack.use(await startFaultyRegistry({ script }));
  const mirror = stack.use(await startFaultyRegistry({ script, address: "127.0.0.2" }));
  const events: RegistryEvent[] = [];
  const client: RegistryClient = stack.use(
    createRegistryClient({
      plainHttp: true,
      attempts,
      retryDelay: 1,
      rateLimits,
      ...(mirrored && {
        mirrors: () => [{ repository: parseRepository(`${mirror.host}/team/app`) }],
      }),
      onEvent: (event) => {
        if (event.type !== "source") events.push(event);
      },
    }),
  );
  // A new one each time, which does not know yet who delivers.
  const repository = (): RepositoryClient =>
    client.repository(parseRepository(`${own.host}/team/app`));
  return {
    own,
    mirror,
    events,
    limit(times, headers, server = own, path = MANIFESTS) {
      const rules: Rule[] = Array.from({ length: times }, () => ({
        match: { path, nth: 1 },
        do: [{ status: 429 }, { headers }],
      }));
      server.rules.push(...rules);
    },
    async fetch(signal, tag = LATEST) {
      const { bytes } = await repository().fetchManifest(tag, { signal });
      expect(Buffer.from(bytes)).toEqual(Buffer.from(IMAGE.manifest));
    },
    async readLayer() {
      const layer = IMAGE.blobs.at(-1) ?? expect.fail("no layer");
      const read = await Array.fromAsync(repository().openContent(layer.descriptor));
      expect(Buffer.concat(read)).toEqual(Buffer.from(layer.bytes));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
