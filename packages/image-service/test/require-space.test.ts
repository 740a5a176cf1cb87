import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createImageService, type ImageService } from "@stowage/image-service";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { createTestRegistry, LINUX, makeImage } from "./support/test-registry.ts";
import { createTar } from "./support/tar.ts";

const APP = "registry.test/ns/app";
const MIB = 1024 * 1024;
const IS_ROOT = process.geteuid?.() === 0;

describe.skipIf(!IS_ROOT)(`on a tmpfs of 10 MiB${IS_ROOT ? "" : " (needs root)"}`, () => {
  test("a pull that was interrupted needs room for the rest alone", async () => {
    await using world = await openSmallWorld();
    const { registry, images } = world;
    // Packed and unpacked it takes 8 MiB, which fit; with the 3 that are here already they would not.
    await registry.push(`${APP}:1`, makeImage({ files: [], archives: [tarOf(4 * MIB)] }));
    await pullUntil(images, `${APP}:1`, 3 * MIB);
    const pulled = await images.pull(`${APP}:1`);
    expect(pulled.transferred.bytes).toBeLessThan(1.1 * MIB);
  });

  test("the beginnings of other downloads count as taken, and the hint tells how they go", async () => {
    await using world = await openSmallWorld();
    const { registry, images, store } = world;
    await registry.push(`${APP}:1`, makeImage({ files: [], archives: [tarOf(4 * MIB)] }));
    await registry.push(`${APP}:2`, makeImage({ files: [], archives: [tarOf(4 * MIB)] }));
    await pullUntil(images, `${APP}:1`, 3 * MIB);
    await expect(images.pull(`${APP}:2`)).rejects.toMatchObject({
      code: "ERR_IMAGE_NO_SPACE",
      hint: expect.stringContaining("stowage gc --max-ingest-age 0s"),
    });
    await store.collectGarbage({ maxIngestAgeMs: 0 });
    await images.pull(`${APP}:2`);
  });
});

/** Pulls until so many bytes are here. */
async function pullUntil(images: ImageService, name: string, bytes: number): Promise<void> {
  const stop = new AbortController();
  const cut = images.pull(name, {
    signal: stop.signal,
    onProgress(event) {
      if (event.type === "blob-progress" && event.received >= bytes) stop.abort();
    },
  });
  await expect(cut).rejects.toMatchObject({ name: "AbortError" });
}

function tarOf(bytes: number): Uint8Array {
  return createTar({ file: randomBytes(bytes / 2).toString("hex") });
}

async function openSmallWorld() {
  const dir = mkdtempSync(join(tmpdir(), "image-service-"));
  const disk = join(dir, "disk");
  mkdirSync(disk);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=10m", "none", disk]);
  if (mounted.status !== 0) throw new Error(String(mounted.stderr));
  const store = await openStore({ root: join(disk, "root"), runRoot: join(dir, "run") });
  const registry = createTestRegistry();
  const images = createImageService({
    store,
    source: registry.source,
    policy: { requireAllowed: async () => undefined },
    defaultPlatform: LINUX,
  });
  return {
    store,
    registry,
    images,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      spawnSync("umount", ["-l", disk]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
