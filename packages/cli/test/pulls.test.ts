import { randomBytes } from "node:crypto";

import { digestOf, parseManifest } from "@stowage/content";
import {
  buildImage,
  createTar,
  type RecordedRequest,
  type ScriptedAnswer,
  startFaultyRegistry,
} from "@stowage/testkit";
import { expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

// Smaller layers come to the disk whole.
const TAR = createTar([{ name: "file", content: randomBytes(3_000_000) }]);
const IMAGE = buildImage({ layers: [{ tar: TAR, compression: "none" }] });
const LAYER = digestOf(TAR);
const HALF = 1_500_000;
const PATIENT = { timeout: 30_000 };

interface ListedPull {
  readonly name: string;
  readonly digest: string;
  readonly pid: number;
  readonly received: number;
}

test("pulls lists those of all processes; who pulls the same joins, and takes over from the dead", async () => {
  await using world = await openCliWorld();
  const { promise: never } = Promise.withResolvers<void>();
  await using registry = await startFaultyRegistry({ script: (request) => answer(request, never) });
  const layers = (): readonly RecordedRequest[] =>
    registry.requests.filter(({ path }) => path.endsWith(LAYER));
  const name = `${registry.host}/app:1`;
  const list = async (): Promise<readonly ListedPull[]> =>
    JSON.parse(await world.ok("--format", "json", "pulls"));
  expect(await list()).toEqual([]);
  const pull = ["pull", "--tls-verify=false", name];
  const first = world.start(pull);
  await expect.poll(async () => (await list())[0]?.received ?? 0, PATIENT).toBeGreaterThan(0);
  const [one] = await list();
  expect(one).toMatchObject({ name, digest: IMAGE.descriptor.digest, size: TAR.length });
  expect(one?.received).toBeLessThanOrEqual(HALF);
  const second = world.start(pull);
  await second.shown("another pull is fetching it");
  const both = await list();
  expect(both.map((each) => each.name)).toEqual([name, name]);
  expect(both[0]?.pid).toBe(one?.pid);
  const table = await world.ok("pulls");
  expect(table).toMatch(new RegExp(`^NAME .*\n${name} .* ${one?.pid} `, "u"));
  expect(layers()).toHaveLength(1);
  process.kill(one?.pid ?? expect.fail("no process"), "SIGKILL");
  await first.outcome;
  expect((await list()).map(({ pid }) => pid)).not.toContain(one?.pid);
  const { code, stdout } = await second.outcome;
  expect([code, stdout]).toEqual([0, `${registry.host}/app@${IMAGE.descriptor.digest}\n`]);
  expect(await list()).toEqual([]);
  const [, resumed, ...others] = layers().map(({ headers }) => headers.range);
  expect([resumed, others]).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/u), []]);
});

/** Keeps who asks for the layer first waiting for its second half. */
function answer(
  { path, headers, nth, method }: RecordedRequest,
  never: Promise<void>,
): ScriptedAnswer | undefined {
  if (/\/manifests\//u.test(path)) {
    const { document } = parseManifest(IMAGE.manifest);
    if (document.kind !== "manifest") return undefined;
    return { headers: { "content-type": document.manifest.mediaType ?? "" }, body: IMAGE.manifest };
  }
  const blob = [...IMAGE.blobs].find(([digest]) => path.endsWith(digest));
  if (blob === undefined) return undefined;
  const [digest, { bytes }] = blob;
  const etag = `"${digest}"`;
  if (digest !== LAYER || method !== "GET") return { headers: { etag }, body: bytes };
  const from = Number(/^bytes=(\d+)-$/u.exec(headers.range ?? "")?.[1] ?? 0);
  if (from > 0) {
    const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    return { status: 206, headers: { etag, "content-range": range }, body: bytes.subarray(from) };
  }
  const steps = nth === 1 ? [{ sendBytes: HALF }, { wait: never }] : [];
  return { headers: { etag }, body: bytes, do: steps };
}
