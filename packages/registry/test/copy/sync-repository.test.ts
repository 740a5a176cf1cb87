import { randomBytes } from "node:crypto";
import { channel } from "node:diagnostics_channel";

import { type Digest, parseManifest, parsePlatform } from "@stowage/content";
import { parseReference, parseTag, type Tag } from "@stowage/reference";
import {
  createRegistryClient,
  type RepositoryClient,
  type RequestMessage,
  type SyncedTag,
  syncRepository,
  type SyncRepositoryOptions,
} from "@stowage/registry";
import {
  buildImage,
  buildIndex,
  type BuiltImage,
  hasPeer,
  startDockerRegistry,
  startFaultyRegistry,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { buildArtifact } from "../support/artifact.ts";
import { goodAnswer } from "../support/good-answer.ts";
import { makeImage } from "../support/images.ts";
import { pushBuilt } from "../support/push-built.ts";

const BASE = randomBytes(300_000);
const IMAGES = ["1", "2", "3"].map((text) => imageOf(text));
const [ONE, TWO, THREE] = IMAGES as [BuiltImage, BuiltImage, BuiltImage];
const INDEX = buildIndex(["linux/amd64", "linux/s390x"].map((text) => imageOf(text, text)));
const TAGS = ["1", "2", "3", "all", "latest"] as const;

describe.skipIf(!hasPeer("docker-registry"))("syncRepository", () => {
  test("brings every tag, what they share once, and asks one HEAD of each side when run again", async () => {
    await using world = await startWorld();
    const first = await sync(world);
    expect(statusesOf(first)).toEqual({
      1: "copied",
      2: "copied",
      3: "copied",
      all: "copied",
      latest: "copied",
    });
    const uploaded = first.reduce((sum, one) => sum + bytesOf(one), 0);
    const blobs = new Map(
      [...IMAGES, INDEX].flatMap(({ blobs: all }) =>
        [...all].filter(([, { mediaType }]) => !/manifest|index/u.test(mediaType)),
      ),
    );
    expect(uploaded).toBe([...blobs.values()].reduce((sum, { bytes }) => sum + bytes.length, 0));
    for (const tag of TAGS) await expectWhole(world.to, parseTag(tag), imageNamed(tag));
    using heard = listen();
    const again = await sync(world);
    expect(again.map(({ status }) => status)).toEqual(TAGS.map(() => "present"));
    expect(heard.requests.filter(({ method }) => method === "HEAD")).toHaveLength(2 * TAGS.length);
    expect(heard.requests.filter(({ method }) => method !== "HEAD")).toHaveLength(1);
  });

  test("goes on behind a tag that can not be had, and leaves nothing of that tag's name", async () => {
    await using world = await startWorld();
    await world.from.deleteBlob(ownLayerOf(TWO));
    const results = await sync(world, { concurrency: 1 });
    const failed = results.filter((one) => one.status === "failed");
    expect(failed).toMatchObject([{ tag: "2", error: { code: "ERR_REGISTRY_NOT_FOUND" } }]);
    expect(results.filter(({ status }) => status === "copied")).toHaveLength(TAGS.length - 1);
    expect(await world.to.peekDigest(parseTag("2"))).toBeUndefined();
    for (const tag of ["1", "3"]) await expectWhole(world.to, parseTag(tag), imageNamed(tag));
  });

  test("says what a tag named before that names something else now", async () => {
    await using world = await startWorld();
    await sync(world);
    await pushBuilt(world.from, TWO, [parseTag("latest")]);
    const [moved, ...others] = (await sync(world)).filter(({ status }) => status !== "present");
    expect(others).toEqual([]);
    const digest = TWO.descriptor.digest;
    const replaced = ONE.descriptor.digest;
    expect(moved).toMatchObject({ tag: "latest", status: "copied", digest, replaced, bytes: 0 });
  });

  test("writes nothing in a dry run, and foretells the bytes and tags of the real one", async () => {
    await using world = await startWorld();
    using heard = listen();
    const filter = (tag: Tag): boolean => tag !== "3";
    const foretold = await sync(world, { dryRun: true, filter });
    expect(foretold.map(({ status }) => status)).toEqual(
      Array.from({ length: 4 }, () => "pending"),
    );
    expect(new Set(heard.requests.map(({ method }) => method))).toEqual(new Set(["GET", "HEAD"]));
    const real = await sync(world, { filter });
    const sum = (all: readonly SyncedTag[]): number => all.reduce((n, one) => n + bytesOf(one), 0);
    expect(sum(foretold)).toBe(sum(real));
    expect(sum(real)).toBeGreaterThan(BASE.length);
    expect(await world.to.peekDigest(parseTag("3"))).toBeUndefined();
  });

  test("brings a signature that came later without asking for a blob of its image again", async () => {
    await using world = await startWorld();
    await sync(world, { withReferrers: true });
    const signature = buildArtifact(INDEX.descriptor, "application/vnd.example.sig", "signed");
    await pushBuilt(world.from, signature);
    const old = buildArtifact(ONE.descriptor, "application/vnd.example.cosign", "old style");
    const cosign = parseTag(`${ONE.descriptor.digest.replace(":", "-")}.sig`);
    await pushBuilt(world.from, old, [cosign]);
    using heard = listen();
    const results = await sync(world, { withReferrers: true });
    expect(statusesOf(results)).toMatchObject({ 1: "copied", 2: "present", all: "copied" });
    const asked = heard.requests.map(({ url }) => url).join("\n");
    for (const layer of layersOf(ONE)) expect(asked).not.toContain(`blobs/${layer}`);
    const found = await Array.fromAsync(world.to.referrers(INDEX.descriptor.digest));
    expect(found.map(({ digest }) => digest)).toEqual([signature.descriptor.digest]);
    expect(await world.to.peekDigest(cosign)).toBe(old.descriptor.digest);
    const third = await sync(world, { withReferrers: true });
    expect(third.map(({ status }) => status)).toEqual(TAGS.map(() => "present"));
  });

  test("puts a referrer into the list that it was left out of by a writer that was cut off", async () => {
    await using world = await startWorld();
    const signature = buildArtifact(ONE.descriptor, "application/vnd.example.sig", "signed");
    await pushBuilt(world.from, signature);
    await sync(world, { withReferrers: true });
    const list = parseTag(ONE.descriptor.digest.replace(":", "-"));
    const digest = await world.to.peekDigest(list);
    await world.to.deleteManifest(digest ?? expect.fail("no list"));
    expect(await Array.fromAsync(world.to.referrers(ONE.descriptor.digest))).toEqual([]);
    await sync(world, { withReferrers: true });
    const found = await Array.fromAsync(world.to.referrers(ONE.descriptor.digest));
    expect(found.map((one) => one.digest)).toEqual([signature.descriptor.digest]);
  });

  test("brings the image of one platform, and finds it again", async () => {
    await using world = await startWorld();
    const options = {
      platforms: [parsePlatform("linux/s390x")],
      filter: (tag: Tag) => tag === "all",
    };
    const digest = imageOf("linux/s390x", "linux/s390x").descriptor.digest;
    expect(await sync(world, options)).toMatchObject([{ status: "copied", digest }]);
    expect(await sync(world, options)).toMatchObject([{ status: "present", digest, bytes: 0 }]);
  });

  test("mends a blob that is gone behind the manifest's back only where it is told to ask for all", async () => {
    await using world = await startWorld();
    const filter = (tag: Tag): boolean => tag === "2";
    await sync(world, { filter });
    await world.to.deleteBlob(ownLayerOf(TWO));
    expect(await sync(world, { filter })).toMatchObject([{ status: "present" }]);
    const mended = await sync(world, { filter, forceRecursive: true });
    expect(mended).toMatchObject([{ status: "copied", blobs: { uploaded: 1 } }]);
    await expectWhole(world.to, parseTag("2"), TWO);
    const sound = await sync(world, { filter, forceRecursive: true });
    expect(sound).toMatchObject([{ status: "present" }]);
  });

  test("cut off in the middle, has each tag there whole or not at all, and goes on when run again", async () => {
    await using world = await startWorld();
    const controller = new AbortController();
    const reason = new Error("enough");
    const results: SyncedTag[] = [];
    const cut = async (): Promise<void> => {
      const onProgress: SyncRepositoryOptions["onProgress"] = ({ type }, tag) => {
        if (type === "blob-done" && tag === "3") controller.abort(reason);
      };
      const options = { concurrency: 2, onProgress, signal: controller.signal };
      for await (const one of syncRepository(world.from, world.to, options)) results.push(one);
    };
    await expect(cut()).rejects.toBe(reason);
    expect(results.length).toBeLessThan(TAGS.length);
    for (const tag of TAGS) {
      const digest = await world.to.peekDigest(parseTag(tag));
      if (digest !== undefined) await expectWhole(world.to, parseTag(tag), imageNamed(tag));
    }
    const there = results.map(({ tag }) => tag);
    const again = await sync(world);
    expect(again.filter((one) => there.includes(one.tag)).map(({ status }) => status)).toEqual(
      there.map(() => "present"),
    );
    for (const tag of TAGS) await expectWhole(world.to, parseTag(tag), imageNamed(tag));
  });

  test("has no more tags under way than it was told", async () => {
    await using world = await startWorld();
    const begun = new Set<Tag>();
    const done = new Set<Tag>();
    let most = 0;
    const onProgress: SyncRepositoryOptions["onProgress"] = (_, tag) => {
      begun.add(tag);
      most = Math.max(most, [...begun].filter((one) => !done.has(one)).length);
    };
    const options = { concurrency: 2, onProgress };
    for await (const { tag } of syncRepository(world.from, world.to, options)) done.add(tag);
    expect([most, done.size]).toEqual([2, TAGS.length]);
  });

  test("stops what is under way when the reader leaves", async () => {
    await using world = await startWorld();
    const image = makeImage([1000]);
    await using silent = await startFaultyRegistry({
      script(request) {
        const { path } = request;
        if (path.endsWith("/tags/list")) return { body: '{"tags":["good","silent"]}' };
        const answer = goodAnswer(image, request);
        return path.endsWith("/silent")
          ? { ...answer, fault: { type: "stall", after: 1 } }
          : answer;
      },
    });
    const from = world.client.repository(parseReference(`${silent.host}/team/app`).repository);
    for await (const { tag } of syncRepository(from, world.to)) {
      expect(tag).toBe("good");
      break;
    }
    expect(await world.to.peekDigest(parseTag("good"))).toBeDefined();
  });

  test("refuses what can only be a mistake", async () => {
    await using world = await startWorld();
    const code = "ERR_REGISTRY_INVALID_ARGUMENT";
    await expect(sync({ from: world.from, to: world.from })).rejects.toMatchObject({ code });
    await expect(sync(world, { concurrency: 0 })).rejects.toMatchObject({ code });
    const from = world.client.repository(parseReference(`${world.host}/not/there`).repository);
    await expect(sync({ from, to: world.to })).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
  });
});

interface World extends AsyncDisposable {
  readonly client: ReturnType<typeof createRegistryClient>;
  readonly host: string;
  readonly from: RepositoryClient;
  readonly to: RepositoryClient;
}

async function startWorld(): Promise<World> {
  const stack = new AsyncDisposableStack();
  const one = stack.use(await startDockerRegistry());
  const two = stack.use(await startDockerRegistry());
  const client = stack.use(createRegistryClient({ plainHttp: true }));
  const of = (host: string): RepositoryClient =>
    client.repository(parseReference(`${host}/team/app`).repository);
  const from = of(one.host);
  for (const [at, image] of IMAGES.entries()) await pushBuilt(from, image, [parseTag(`${at + 1}`)]);
  await pushBuilt(from, INDEX, [parseTag("all")]);
  await pushBuilt(from, ONE, [parseTag("latest")]);
  return {
    client,
    host: one.host,
    from,
    to: of(two.host),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function sync(
  { from, to }: Pick<World, "from" | "to">,
  options?: SyncRepositoryOptions,
): Promise<readonly SyncedTag[]> {
  return Array.fromAsync(syncRepository(from, to, options));
}

function statusesOf(results: readonly SyncedTag[]): Readonly<Record<string, string>> {
  return Object.fromEntries(results.map(({ tag, status }) => [tag, status]));
}

function bytesOf(result: SyncedTag): number {
  return result.status === "failed" ? expect.fail(String(result.error)) : result.bytes;
}

/** Every byte of what a tag names is there. */
async function expectWhole(
  repository: RepositoryClient,
  tag: Tag,
  { blobs, descriptor }: BuiltImage,
): Promise<void> {
  expect(await repository.peekDigest(tag)).toBe(descriptor.digest);
  for (const [digest, { mediaType, bytes }] of blobs) {
    if (/manifest|index/u.test(mediaType)) await repository.fetchManifest(digest);
    else {
      const content = repository.openContent({ mediaType, digest, size: bytes.byteLength });
      for await (const _ of content);
    }
  }
}

function imageOf(text: string, platform?: string): BuiltImage {
  const own = { tar: Buffer.from(`layer of ${text}`), compression: "none" as const };
  const layers = [{ tar: BASE, compression: "none" as const }, own];
  return buildImage({
    layers,
    ...(platform !== undefined && { platform: parsePlatform(platform) }),
  });
}

function imageNamed(tag: string): BuiltImage {
  return { 1: ONE, 2: TWO, 3: THREE, all: INDEX, latest: ONE }[tag] ?? expect.fail(tag);
}

function layersOf({ manifest }: BuiltImage): readonly Digest[] {
  const { document } = parseManifest(manifest);
  if (document.kind !== "manifest") return [];
  return document.manifest.layers.map(({ digest }) => digest);
}

function ownLayerOf(image: BuiltImage): Digest {
  return layersOf(image).at(-1) ?? expect.fail("no layer");
}

function listen(): Disposable & { readonly requests: readonly RequestMessage[] } {
  const requests: RequestMessage[] = [];
  const hear = (message: unknown): void => void requests.push(message as RequestMessage);
  channel("stowage:registry:request").subscribe(hear);
  return {
    requests,
    [Symbol.dispose]() {
      channel("stowage:registry:request").unsubscribe(hear);
    },
  };
}
