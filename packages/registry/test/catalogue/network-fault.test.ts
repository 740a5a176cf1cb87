import { parseRepository } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { startFaultyRegistry, type Step } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { makeImage } from "../support/images.ts";
import { goodAnswer } from "../support/good-answer.ts";
import { openStage, type Stage } from "../support/stage.ts";

const MANIFESTS = /manifests/u;

describe("a failure in passing", () => {
  test.for([
    ["0", 0, 0],
    ["-1", 0, 100],
    ["garbage", 0, 100],
    [new Date(0).toUTCString(), 0, 100],
    [null, 0, 100],
    ["1", 1000, 1000],
  ] as const)(
    "H14 N10 429 with Retry-After %s is waited for between %i and %i ms",
    async ([after, least, most]) => {
      await using stage = await openStage();
      stage.fault(MANIFESTS, [{ status: 429 }, { headers: { "retry-after": after } }], { nth: 1 });
      await stage.fetchManifest();
      const [delay = Number.NaN] = delays(stage);
      expect(delay).toBeGreaterThanOrEqual(least);
      expect(delay).toBeLessThanOrEqual(most);
    },
  );

  test.for(["61", "1000000000", "9999999999999", new Date(Date.now() + 3_600_000).toUTCString()])(
    "H14 429 with Retry-After %s is RateLimited at once, saying when",
    async (after) => {
      await using stage = await openStage();
      stage.fault(MANIFESTS, [{ status: 429 }, { headers: { "retry-after": after } }]);
      const failure = await stage.refuses("RateLimited", () => stage.fetchManifest());
      expect(failure["retryAfter"]).toBeGreaterThan(60_000);
      expect(stage.registry.requests).toHaveLength(2);
    },
  );

  test("H14 N32 a wait is cancelled at once, with the signal's own reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    await using stage = await openStage({ onEvent: () => controller.abort(reason) });
    stage.fault(MANIFESTS, [{ status: 429 }, { headers: { "retry-after": "60" } }]);
    const { signal } = controller;
    const fetched = stage.repository.fetchManifest(stage.manifest, { signal });
    await expect(fetched).rejects.toBe(reason);
  });

  test("N10 429 four times, and then well: one success, and other hosts are not kept waiting", async () => {
    await using stage = await openStage();
    await using other = await startFaultyRegistry({
      script: (request) => goodAnswer(stage.image, request),
    });
    for (let nth = 1; nth <= 4; nth += 1) {
      stage.fault(MANIFESTS, [{ status: 429 }, { headers: { "retry-after": "0" } }], { nth: 1 });
    }
    stage.fault(/tags/u, [{ status: 429 }, { headers: { "retry-after": "1" } }], { nth: 1 });
    const limited = Array.fromAsync(stage.repository.tags());
    const started = performance.now();
    const elsewhere = stage.client.repository(parseRepository(`${other.host}/team/app`));
    await elsewhere.fetchManifest(stage.manifest);
    expect(performance.now() - started).toBeLessThan(900);
    await stage.fetchManifest();
    expect(delays(stage)).toHaveLength(5);
    await limited;
  });

  test.for([
    [500, 1],
    [502, 2],
    [503, 4],
    [504, 3],
    [408, 1],
  ] as const)("H15 %i, %i times, and then well", async ([status, times]) => {
    await using stage = await openStage();
    for (let nth = 1; nth <= times; nth += 1) stage.fault(MANIFESTS, [{ status }], { nth: 1 });
    await stage.fetchManifest();
    expect(delays(stage)).toHaveLength(times);
  });

  test("H15 500 a hundred times: five attempts with jitter, then RegistryUnavailable", async () => {
    await using stage = await openStage({ retryDelay: 64 });
    stage.fault(MANIFESTS, [{ status: 500 }]);
    const failure = await stage.refuses("RegistryUnavailable", () => stage.fetchManifest());
    expect(failure).toMatchObject({ retryable: true, status: 500 });
    expect(stage.registry.requests).toHaveLength(6);
    const waits = delays(stage);
    for (const [at, most] of [64, 128, 256, 512].entries()) {
      expect(waits[at]).toBeGreaterThanOrEqual(most / 2);
      expect(waits[at]).toBeLessThanOrEqual(most);
    }
  });

  test("N22 nothing listens: five attempts, then RegistryUnavailable; at each phase", async () => {
    await using stage = await openStage();
    const gone = await startFaultyRegistry({
      script: (request) => goodAnswer(stage.image, request),
    });
    const repository = stage.client.repository(parseRepository(`${gone.host}/team/app`));
    await repository.fetchManifest(stage.manifest);
    await gone[Symbol.asyncDispose]();
    await stage.refuses("RegistryUnavailable", () => stage.readLayer(repository));
    expect(delays(stage)).toHaveLength(4);
    await stage.refuses("RegistryUnavailable", () => repository.fetchManifest(stage.manifest));
  });

  test("N24 a server that closes idle connections just as they are used is not noticed", async () => {
    await using stage = await openStage();
    await using hasty = await startFaultyRegistry({
      keepAlive: 1,
      script: (request) => goodAnswer(stage.image, request),
    });
    const repository = stage.client.repository(parseRepository(`${hasty.host}/team/app`));
    for (let nth = 0; nth < 30; nth += 1) await repository.fetchManifest(stage.manifest);
    stage.fault(MANIFESTS, [{ reset: true }], { nth: 1 });
    await stage.fetchManifest();
  });
});

describe("mirrors", () => {
  test.for<[string, boolean, readonly Step[]]>([
    ["is down", false, [{ reset: true }]],
    ["answers 404", false, [{ status: 404 }]],
    ["answers 500 (N11)", false, [{ status: 500 }]],
    ["answers 401", false, [{ status: 401 }]],
    ["stalls", false, [{ sleep: 5000 }]],
    ["serves other bytes", true, [{ body: makeImage([3]).manifest }]],
  ])("N20 one that %s: the next place, and it is told of", async ([, tampering, steps]) => {
    await using mirror = await startFaultyRegistry({
      address: "127.0.0.6",
      rules: [{ do: steps }],
    });
    await using stage = await openStage({ stallTimeout: 300, mirrors: mirrorsAt(mirror.host) });
    await stage.fetchManifest(stage.manifest);
    const failed = stage.events.filter(({ type }) => type === "mirror-failed");
    expect(failed).toMatchObject([{ tampering }]);
    expect(stage.registry.requests.length).toBeGreaterThan(0);
  });

  test("N20 H25 one that alters a blob: told as tampering, and not asked again", async () => {
    await using mirror = await startFaultyRegistry({
      address: "127.0.0.6",
      script: (request) => goodAnswer(stage.image, request),
    });
    await using stage = await openStage({ mirrors: mirrorsAt(mirror.host) });
    const { bytes: body, descriptor } = stage.layer;
    const path = new RegExp(descriptor.digest, "u");
    mirror.rules.push({ match: { path }, do: [{ body }, { flipBit: 8 }] });
    await stage.pull();
    const events = stage.events.filter(({ type }) => type !== "source");
    expect(events).toMatchObject([{ type: "mirror-failed", tampering: true }]);
    expect(mirror.requests.filter((request) => path.test(request.path))).toHaveLength(1);
  });

  test("N21 the registry is down and a mirror is not: success, under the registry's own name", async () => {
    await using stage = await openStage();
    await using mirror = await startFaultyRegistry({
      address: "127.0.0.6",
      script: (request) => goodAnswer(stage.image, request),
    });
    const down = await startFaultyRegistry();
    await down[Symbol.asyncDispose]();
    await using client = createRegistryClient({
      plainHttp: true,
      retryDelay: 1,
      mirrors: mirrorsAt(mirror.host),
    });
    const repository = client.repository(parseRepository(`${down.host}/team/app`));
    await repository.fetchManifest(stage.manifest);
    await stage.readLayer(repository);
    expect(repository.repository).toEqual(parseRepository(`${down.host}/team/app`));
  });
});

describe("many at once", () => {
  test("N31 a thousand pulls open six blobs at a time, over a bounded number of sockets", async () => {
    let open = 0;
    let most = 0;
    await using stage = await openStage({ size: 100 });
    const { descriptor, bytes } = stage.layer;
    await using server = await startFaultyRegistry({
      script: async () => {
        most = Math.max(most, (open += 1));
        await new Promise(setImmediate);
        open -= 1;
        return { body: bytes };
      },
    });
    const repository = stage.client.repository(parseRepository(`${server.host}/team/app`));
    await Promise.all(
      Array.from({ length: 1000 }, () => Array.fromAsync(repository.openContent(descriptor))),
    );
    expect(most).toBeLessThanOrEqual(6);
    expect(server.accepted).toBeLessThanOrEqual(16);
  });

  test.for<[string, (stage: Stage) => void]>([
    ["a token", ({ tokens }) => void tokens.rules.push({ do: [{ sleep: 10_000 }] })],
    ["the headers", (stage) => stage.fault(/blobs/u, [{ sleep: 10_000 }])],
    [
      "a redirect's answer",
      (stage) => {
        stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}/x` }]);
        stage.blobs.rules.push({ do: [{ sleep: 10_000 }] });
      },
    ],
    [
      "the body",
      (stage) => {
        const { bytes: body } = stage.layer;
        stage.fault(/blobs/u, [{ body }, { sendBytes: 1000 }, { stall: true }]);
      },
    ],
  ])(
    "N32 an abort while %s is waited for closes every socket within a second",
    async ([, arrange]) => {
      await using stage = await openStage();
      arrange(stage);
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error("enough");
      const { descriptor } = stage.layer;
      const reads = Array.from({ length: 4 }, () =>
        Array.fromAsync(stage.repository.openContent(descriptor, { signal })),
      );
      const settled = Promise.allSettled(reads);
      await expect
        .poll(
          () =>
            [...stage.tokens.requests, ...stage.registry.requests, ...stage.blobs.requests].length,
        )
        .toBeGreaterThan(2);
      await new Promise((wake) => setTimeout(wake, 100));
      const started = performance.now();
      controller.abort(reason);
      expect(await settled).toEqual(reads.map(() => ({ status: "rejected", reason })));
      const waiting = () => stage.blobs.sockets.size;
      await expect.poll(waiting, { timeout: 1000, interval: 5 }).toBe(0);
      expect(performance.now() - started).toBeLessThan(1000);
    },
  );
});

function delays({ events }: Stage): readonly number[] {
  return events.flatMap((event) => (event.type === "retry" ? [event.delay] : []));
}

function mirrorsAt(host: string) {
  return () => [{ repository: parseRepository(`${host}/mirror/app`) }];
}
