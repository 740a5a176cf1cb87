import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rmdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { parseManifest } from "@stowage/content";
import { buildImage, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { imageFolderDestination } from "../src/copy/image-folder.ts";
import { acquireFileLock } from "../src/file-lock.ts";

const CHILD = fileURLToPath(new URL("support/lock-child.ts", import.meta.url));
// Above every number that Linux gives.
const NOBODY = "999999999 1\n";
const MANIFEST = parseManifest(buildImage({ layers: [] }).manifest);

describe("a lock that a process has left", () => {
  test("gets to one at a time of many who find it at once", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "lock");
    let inside = 0;
    let most = 0;
    const visit = async (_: unknown, at: number): Promise<void> => {
      // One after another, so that some look while others take it over.
      for (let turns = 0; turns < at; turns += 1) await setImmediate();
      await using _lock = await acquireFileLock(path, { timeout: 4000 });
      inside += 1;
      most = Math.max(most, inside);
      for (let turns = 0; turns < 3; turns += 1) await setImmediate();
      inside -= 1;
    };
    for (let round = 0; round < 5; round += 1) {
      await writeFile(path, NOBODY);
      await Promise.all(Array.from({ length: 24 }, visit));
    }
    expect([most, await readdir(folder.path)]).toEqual([1, []]);
  });

  test("is taken over where who took it over was killed at that", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "lock");
    for (const name of [path, `${path}.dead`, `${path}.dead.dead`]) await writeFile(name, NOBODY);
    {
      await using _lock = await acquireFileLock(path, { timeout: 1000 });
    }
    expect(await readdir(folder.path)).toEqual([]);
  });

  test("without a word in it is nobody's, once it could have one", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "lock");
    await writeFile(path, "");
    const early = acquireFileLock(path, { timeout: 50 });
    await expect(early).rejects.toMatchObject({ code: "ERR_REGISTRY_BUSY" });
    const then = Date.now() / 1000 - 60;
    await utimes(path, then, then);
    await using _lock = await acquireFileLock(path, { timeout: 1000 });
  });
});

test("who may not write what it has to say of itself leaves no lock", async () => {
  await using folder = await tempDir();
  const path = join(folder.path, "lock");
  const words = ["-c", 'ulimit -f 0; exec "$@"', "bash"];
  const node = [process.execPath, "--conditions=@stowage/source", CHILD, path];
  const child = spawn("bash", [...words, ...node], { stdio: ["pipe", "ignore", "ignore"] });
  await once(child, "exit");
  expect((await readdir(folder.path)).filter((name) => name === "lock")).toEqual([]);
});

test("an image folder that could not be made ready is free for the next who tries", async () => {
  await using folder = await tempDir();
  await writeFile(join(folder.path, ".stowage.lock"), NOBODY);
  await mkdir(join(folder.path, "version"));
  const write = async (): Promise<unknown> => {
    await using destination = imageFolderDestination(folder.path, { lockTimeout: 100 });
    return await destination.writeManifest(MANIFEST);
  };
  await expect(write()).rejects.toMatchObject({ code: "ERR_REGISTRY_FILE" });
  await rmdir(join(folder.path, "version"));
  await write();
});
