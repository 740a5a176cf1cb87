import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { digestOf, verifyContent } from "@stowage/content";
import { type CopySource, createRegistryClient, type RegistryClient } from "@stowage/registry";
import { startFaultyRegistry, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

import { goodAnswer } from "./support/good-answer.ts";
import { makeImage } from "./support/images.ts";

const PACKAGE = join(import.meta.dirname, "..");

test("the first example of the README runs as it stands", async () => {
  const code = await exampleWith("const server =");
  const node = ["--conditions=@stowage/source", "--input-type=module", "--eval", code];
  const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: PACKAGE });
  expect(stdout).toMatch(/^index sha256:[0-9a-f]{64}\n$/u);
});

test("the recipe of a cache with a lock asks nobody for what is here, and follows no tag that moved", async () => {
  await using folder = await tempDir();
  const fetchLocked = await importRecipe();
  const [first, moved] = [makeImage([2000]), makeImage([1000])];
  let image = first;
  const lock: Record<string, string> = {};
  let requests = 0;
  await using client = createRegistryClient({ plainHttp: true, attempts: 1 });
  const use = async (host: string, cache = "cache"): Promise<readonly [string, number]> => {
    const name = `${host}/tools/feature:1`;
    await using artifact = await fetchLocked(client, join(folder.path, cache), name, lock);
    const { document, descriptor } = await artifact.fetchRoot();
    if (document.kind !== "manifest") throw new Error("an index");
    const layer = document.manifest.layers[0] ?? expect.fail("no layer");
    let size = 0;
    for await (const { length } of verifyContent(artifact.openContent(layer), layer))
      size += length;
    return [descriptor.digest, size];
  };
  let host: string;
  {
    await using registry = await startFaultyRegistry({
      script(request) {
        requests += 1;
        const [, digest] = /manifests\/(sha256:.*)$/u.exec(request.path) ?? [];
        const isFirst = digest === digestOf(first.manifest) || request.path.includes("/blobs/");
        return goodAnswer(isFirst ? first : image, request);
      },
    });
    ({ host } = registry);
    expect(await use(host)).toEqual([digestOf(first.manifest), 2000]);
    image = moved;
    requests = 0;
    expect(await use(host)).toEqual([digestOf(first.manifest), 2000]);
    expect(requests).toBe(0);
    expect(await use(host, "another")).toEqual([digestOf(first.manifest), 2000]);
  }
  expect(await use(host)).toEqual([digestOf(first.manifest), 2000]);
  expect(lock).toEqual({ [`${host}/tools/feature:1`]: digestOf(first.manifest) });
  await expect(use(host, "a third")).rejects.toMatchObject({ code: "ERR_REGISTRY_UNAVAILABLE" });
  const layer = first.blobs.find(({ descriptor }) => descriptor.size === 2000)?.descriptor.digest;
  const file = join(folder.path, "cache/blobs/sha256", layer?.slice(7) ?? "");
  await writeFile(file, Buffer.alloc(2000));
  await expect(use(host)).rejects.toMatchObject({ code: "ERR_CONTENT_DIGEST_MISMATCH" });
});

type FetchLocked = (
  client: RegistryClient,
  cache: string,
  name: string,
  lock: Record<string, string>,
) => Promise<CopySource>;

/** As a program of its own would have it; what it imports is found from below the package. */
async function importRecipe(): Promise<FetchLocked> {
  const folder = await mkdtemp(join(PACKAGE, "bin-"));
  try {
    const file = join(folder, "recipe.mjs");
    await writeFile(file, await exampleWith("fetchLocked(client"));
    const recipe = (await import(pathToFileURL(file).href)) as {
      readonly fetchLocked: FetchLocked;
    };
    return recipe.fetchLocked;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function exampleWith(text: string): Promise<string> {
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  const blocks = Array.from(readme.matchAll(/```js\n([\s\S]*?)```/gu), ([, code = ""]) => code);
  return blocks.find((code) => code.includes(text)) ?? expect.fail(`no example with ${text}`);
}
