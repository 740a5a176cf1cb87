import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { digestOf, parseManifest } from "@stowage/content";
import {
  buildImage,
  type BuiltImage,
  type DockerRegistry,
  hasPeer,
  startCountingProxy,
  startDockerRegistry,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld } from "./support/cli-world.ts";

const run = promisify(execFile);
const PLAIN = "--tls-verify=false";
const IMAGES = new Map(["1.0", "1.1", "2.0"].map((tag) => [tag, imageOf(tag)]));

describe.skipIf(!hasPeer("docker-registry"))("sync", () => {
  test("brings the tags that are wanted, tells of each in JSON, and leaves alone what is there", async () => {
    await using world = await openSyncWorld();
    const { from, to } = world;
    const sync = async (...args: string[]): Promise<object> =>
      JSON.parse(await world.cli.ok("--format", "json", "sync", PLAIN, ...args, from, to));
    const digestOfTag = (tag: string): string => IMAGES.get(tag)?.descriptor.digest ?? "";
    const ones = ["--include", String.raw`1\..*`];
    const dry = await sync("--dry-run", ...ones);
    expect(dry).toMatchObject({ dryRun: true, complete: true, pending: 2, copied: 0 });
    expect(await world.tagsThere()).toEqual([]);
    const told = await sync(...ones, "--exclude", "1.1");
    expect(told).toMatchObject({
      source: from,
      destination: to,
      dryRun: false,
      complete: true,
      copied: 1,
      present: 0,
      failed: 0,
      tags: [{ tag: "1.0", status: "copied", digest: digestOfTag("1.0") }],
    });
    const again = await sync();
    expect(again).toMatchObject({ copied: 2, present: 1, failed: 0 });
    expect(await world.tagsThere()).toEqual(["1.0", "1.1", "2.0"]);
    if (hasPeer("skopeo")) {
      for (const tag of IMAGES.keys()) {
        const place = `docker://${to}:${tag}`;
        const { stdout } = await run("skopeo", ["inspect", PLAIN, "--raw", place], {
          encoding: "buffer",
        });
        expect(digestOf(stdout)).toBe(digestOfTag(tag));
      }
    }
  });

  test("ends with 11 if some tags failed and the others are there, and with the failure's own if all", async () => {
    await using world = await openSyncWorld();
    const { from, to, source } = world;
    const args = ["--format", "json", "sync", PLAIN];
    await breakTag(source, "1.1");
    const partial = await world.cli.run([...args, from, to]);
    expect(partial.code).toBe(11);
    const { tags, ...counts } = JSON.parse(partial.stdout);
    expect(counts).toMatchObject({ complete: true, copied: 2, failed: 1 });
    expect(tags[1]).toMatchObject({
      tag: "1.1",
      status: "failed",
      digest: IMAGES.get("1.1")?.descriptor.digest,
      error: { code: "ERR_REGISTRY_NOT_FOUND", message: expect.stringContaining("sha256:") },
    });
    expect(await world.tagsThere()).toEqual(["1.0", "2.0"]);
    const all = await world.cli.run([...args, "--include", "1.1", from, to]);
    expect(all.code).toBe(3);
    const text = await world.cli.run(["sync", PLAIN, from, to]);
    expect([text.code, text.stdout]).toEqual([11, expect.stringContaining("1 failed, 2 present")]);
    const digest = IMAGES.get("1.1")?.descriptor.digest.slice(7, 19);
    expect(text.stdout).toMatch(
      new RegExp(`^failed +1\\.1 +${digest} .*\\n {2}Check the spelling`, "m"),
    );
    const terminal = world.cli.startOnTerminal(["sync", PLAIN, from, to]);
    const shown = (await terminal.outcome).stdout;
    expect(shown.match(/^(?:failed|present) /gm)).toHaveLength(3);
    expect(shown).toContain("1 failed, 2 present");
  });

  test("interrupted, tells what it has done; run again, goes on from there", async () => {
    await using world = await openSyncWorld();
    await using proxy = await startCountingProxy({ target: world.source.host, linkRate: 400_000 });
    const from = `${proxy.host}/team/app`;
    const args = ["sync", PLAIN, "--concurrency", "1", from, world.to];
    const cut = world.cli.start(args);
    await cut.shown("copied");
    cut.kill("SIGINT");
    const { code, stdout, stderr } = await cut.outcome;
    expect([code, stderr]).toEqual([130, expect.stringContaining("interrupted")]);
    expect(stdout).toMatch(/^copied +\d\.\d .*not all\n$/su);
    const there = await world.tagsThere();
    expect(there.length).toBeLessThan(IMAGES.size);
    for (const tag of there) {
      const layout = `oci:${join(world.cli.path, "check")}:${tag}`;
      await world.cli.ok("copy", PLAIN, `docker://${world.to}:${tag}`, layout);
    }
    const again = JSON.parse(await world.cli.ok("--format", "json", ...args));
    expect(again).toMatchObject({ present: there.length, copied: IMAGES.size - there.length });
  });

  test("takes repositories and patterns, and says what is wrong with anything else", async () => {
    await using world = await openSyncWorld();
    const { from, to } = world;
    const rows: readonly (readonly [number, string, readonly string[]])[] = [
      [2, "ERR_STOWAGE_USAGE", [`${from}:1.0`, to]],
      [2, "ERR_STOWAGE_USAGE", [from, `${to}@${digestOf(Buffer.from(""))}`]],
      [2, "ERR_STOWAGE_USAGE", ["--include", "(", from, to]],
      [2, "ERR_STOWAGE_USAGE", ["--concurrency", "many", from, to]],
      [2, "ERR_REGISTRY_INVALID_ARGUMENT", ["--concurrency", "0", from, to]],
      [2, "ERR_REGISTRY_INVALID_ARGUMENT", [from, from]],
      [3, "ERR_REGISTRY_NOT_FOUND", [`${from}/not/there`, to]],
    ];
    for (const [code, error, args] of rows) {
      const outcome = await world.cli.run(["--format", "json", "sync", PLAIN, ...args]);
      expect([args, outcome.code]).toEqual([args, code]);
      expect(JSON.parse(outcome.stderr)).toMatchObject({ error: { code: error } });
    }
    expect(await world.tagsThere()).toEqual([]);
  });
});

interface SyncWorld extends AsyncDisposable {
  readonly cli: CliWorld;
  readonly source: DockerRegistry;
  /** `HOST/team/app`, filled. */
  readonly from: string;
  /** `HOST/mirror/app`, empty. */
  readonly to: string;
  tagsThere(): Promise<readonly string[]>;
}

async function openSyncWorld(): Promise<SyncWorld> {
  const stack = new AsyncDisposableStack();
  const cli = stack.use(await openCliWorld());
  const source = stack.use(await startDockerRegistry());
  const target = stack.use(await startDockerRegistry());
  const layout = join(cli.path, "layout");
  await writeOciLayout(layout, Object.fromEntries(IMAGES));
  const from = `${source.host}/team/app`;
  const to = `${target.host}/mirror/app`;
  for (const tag of IMAGES.keys()) {
    await cli.ok("copy", PLAIN, `oci:${layout}:${tag}`, `docker://${from}:${tag}`);
  }
  return {
    cli,
    source,
    from,
    to,
    async tagsThere() {
      const answer = await fetch(`${target.url}/v2/mirror/app/tags/list`);
      const { tags } = (await answer.json()) as { readonly tags?: readonly string[] };
      return (tags ?? []).toSorted();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Takes a layer away, behind the back of the manifest that names it. */
async function breakTag({ url }: DockerRegistry, tag: string): Promise<void> {
  const { document } = parseManifest(IMAGES.get(tag)?.manifest ?? expect.fail(tag));
  if (document.kind !== "manifest") throw new Error("an index");
  const digest = document.manifest.layers.at(-1)?.digest;
  const answer = await fetch(`${url}/v2/team/app/blobs/${digest}`, { method: "DELETE" });
  expect(answer.status).toBe(202);
}

function imageOf(tag: string): BuiltImage {
  const tar = Buffer.alloc(200_000, `layer of ${tag}, `);
  return buildImage({ layers: [{ tar, compression: "none" }] });
}
