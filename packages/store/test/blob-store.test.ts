import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type ContentProvider, type Descriptor, digestOf, readContent } from "@stowage/content";
import { openStore } from "@stowage/store";
import { describe, expect, test } from "vitest";

import { once, openWorld } from "./support/store-world.ts";
import { IS_ROOT, NEEDS_ROOT } from "./support/needs-root.ts";

const HELLO = Buffer.from("hello, store");
const DESCRIPTOR: Descriptor = {
  mediaType: "text/plain",
  digest: digestOf(HELLO),
  size: HELLO.length,
};
const tripwire: ContentProvider = { openContent: () => expect.fail("content was opened") };

async function* untouchable(): AsyncGenerator<Uint8Array, void, undefined> {
  yield expect.fail("content was opened");
}

describe("a blob", () => {
  test("is kept under its digest, read only, and read back", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    expect(await blobs.stat(DESCRIPTOR.digest)).toBeUndefined();
    await blobs.write(DESCRIPTOR, once(HELLO));
    expect(await blobs.stat(DESCRIPTOR.digest)).toEqual({
      digest: DESCRIPTOR.digest,
      size: HELLO.length,
    });
    const path = join(world.root, "blobs", ...DESCRIPTOR.digest.split(":"));
    expect(blobs.path(DESCRIPTOR.digest)).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o444);
    expect(Buffer.from(await readContent(blobs, DESCRIPTOR))).toEqual(HELLO);
    const rest = await Array.fromAsync(blobs.openContent(DESCRIPTOR, { offset: 7 }));
    expect(Buffer.concat(rest).toString()).toBe("store");
    expect(await Array.fromAsync(blobs.walk())).toHaveLength(1);
  });

  test.for([
    ["a byte too few", HELLO.subarray(1), "ERR_CONTENT_SIZE_MISMATCH"],
    ["a byte too many", Buffer.concat([HELLO, HELLO]), "ERR_CONTENT_SIZE_MISMATCH"],
    ["a byte altered", HELLO.with(0, 1), "ERR_CONTENT_DIGEST_MISMATCH"],
  ] as const)("R20: with %s is refused, and nothing is kept", async ([, bytes, code]) => {
    await using world = await openWorld();
    const { blobs } = world.store;
    const provider = { openContent: () => once(bytes) };
    await expect(blobs.write(DESCRIPTOR, once(bytes))).rejects.toMatchObject({ code });
    await expect(blobs.ingest(DESCRIPTOR, provider)).rejects.toMatchObject({ code });
    expect(await blobs.stat(DESCRIPTOR.digest)).toBeUndefined();
    expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
  });

  test("that is here already is not fetched again", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    await blobs.write(DESCRIPTOR, once(HELLO));
    await blobs.write(DESCRIPTOR, untouchable());
    await blobs.ingest(DESCRIPTOR, tripwire);
  });

  test.for(["truncated", "altered", "emptied", "a directory", "a symbolic link", "a FIFO"])(
    "K01: that is %s is replaced when it is written again",
    async (damage) => {
      await using world = await openWorld();
      const { blobs } = world.store;
      await blobs.write(DESCRIPTOR, once(HELLO));
      const path = blobs.path(DESCRIPTOR.digest);
      damageFile(path, damage);
      const read = readContent(blobs, DESCRIPTOR);
      await expect(read).rejects.toThrow(DESCRIPTOR.digest);
      await blobs.write(DESCRIPTOR, once(HELLO));
      expect(readFileSync(path)).toEqual(HELLO);
      expect(statSync(path).mode & 0o777).toBe(0o444);
    },
  );

  test("goes on where an interrupted ingest stopped, in another store", async () => {
    await using world = await openWorld();
    const reason = new Error("cut off");
    const offsets: (number | undefined)[] = [];
    const cut: ContentProvider = {
      async *openContent(_, options) {
        offsets.push(options?.offset);
        yield HELLO.subarray(0, 5);
        throw reason;
      },
    };
    const ingest = world.store.blobs.ingest(DESCRIPTOR, cut);
    await expect(ingest).rejects.toBe(reason);
    await using store = await openStore(world);
    const whole: ContentProvider = {
      openContent(_, options) {
        offsets.push(options?.offset);
        return once(HELLO.subarray(options?.offset));
      },
    };
    const progress: number[] = [];
    await store.blobs.ingest(DESCRIPTOR, whole, { onProgress: (bytes) => progress.push(bytes) });
    expect(offsets).toEqual([0, 5]);
    expect(progress).toEqual([5, HELLO.length]);
    expect(Buffer.from(await readContent(store.blobs, DESCRIPTOR))).toEqual(HELLO);
    expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
  });

  test("R18, R20: that arrived whole before the interruption is not asked for again", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    const reason = new Error("interrupted");
    const late: ContentProvider = {
      async *openContent() {
        yield HELLO;
        throw reason;
      },
    };
    await expect(blobs.ingest(DESCRIPTOR, late)).rejects.toBe(reason);
    await blobs.ingest(DESCRIPTOR, { openContent: () => expect.fail("the blob was asked for") });
    expect(Buffer.from(await readContent(blobs, DESCRIPTOR))).toEqual(HELLO);
  });

  test.for(["X".repeat(5), "X".repeat(12), "X".repeat(15)])(
    "R20: whose partial download was damaged (%s) begins anew at once",
    async (damage) => {
      await using world = await openWorld();
      const { blobs } = world.store;
      const cut: ContentProvider = {
        async *openContent() {
          yield HELLO.subarray(0, 5);
          throw new Error("cut off");
        },
      };
      await expect(blobs.ingest(DESCRIPTOR, cut)).rejects.toThrow("cut off");
      const [key] = readdirSync(join(world.root, "ingest")).filter(
        (name) => !name.endsWith(".lock"),
      );
      writeFileSync(join(world.root, "ingest", key ?? "", "data"), damage);
      const whole: ContentProvider = {
        openContent: (_, options) => once(HELLO.subarray(options?.offset)),
      };
      await blobs.ingest(DESCRIPTOR, whole);
      expect(Buffer.from(await readContent(blobs, DESCRIPTOR))).toEqual(HELLO);
      expect(readdirSync(join(world.root, "ingest"))).toEqual([]);
    },
  );

  test("is written by many at once, and whole for all", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    const provider = { openContent: () => once(HELLO) };
    await Promise.all([
      ...Array.from({ length: 4 }, () => blobs.write(DESCRIPTOR, once(HELLO))),
      ...Array.from({ length: 4 }, () => blobs.ingest(DESCRIPTOR, provider)),
    ]);
    expect(Buffer.from(await readContent(blobs, DESCRIPTOR))).toEqual(HELLO);
  });

  test("is not begun once the signal has fired, and rejects with its reason", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(blobs.ingest(DESCRIPTOR, tripwire, { signal })).rejects.toBe(reason);
    const controller = new AbortController();
    async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
      yield HELLO.subarray(0, 3);
      controller.abort(reason);
      yield HELLO.subarray(3);
    }
    const written = blobs.write(DESCRIPTOR, endless(), { signal: controller.signal });
    await expect(written).rejects.toBe(reason);
    expect(await blobs.stat(DESCRIPTOR.digest)).toBeUndefined();
  });

  test("is removed once", async () => {
    await using world = await openWorld();
    const { blobs } = world.store;
    await blobs.write(DESCRIPTOR, once(HELLO));
    expect(await blobs.remove(DESCRIPTOR.digest)).toBe(true);
    expect(await blobs.remove(DESCRIPTOR.digest)).toBe(false);
    const read = readContent(blobs, DESCRIPTOR);
    await expect(read).rejects.toMatchObject({ code: "ERR_CONTENT_NOT_FOUND" });
  });

  test.skipIf(!IS_ROOT)(`has a named error when the disk is full${NEEDS_ROOT}`, async () => {
    await using world = await openWorld();
    const mounted = spawnSync("sh", [
      "-c",
      `mkdir -p ${world.path}/small && mount -t tmpfs -o size=1m none ${world.path}/small`,
    ]);
    expect(mounted.status).toBe(0);
    try {
      const root = join(world.path, "small/root");
      await using store = await openStore({ root, runRoot: join(world.path, "run2") });
      const bytes = Buffer.alloc(2 * 1024 * 1024, 7);
      const big = { ...DESCRIPTOR, digest: digestOf(bytes), size: bytes.length };
      const written = store.blobs.write(big, once(bytes));
      await expect(written).rejects.toMatchObject({ code: "ERR_STORE_NO_SPACE", kind: "NoSpace" });
      await store.blobs.write(DESCRIPTOR, once(HELLO));
    } finally {
      spawnSync("umount", [`${world.path}/small`]);
    }
  });
});

function damageFile(path: string, damage: string): void {
  rmSync(path);
  if (damage === "truncated") writeFileSync(path, HELLO.subarray(0, 4));
  else if (damage === "altered") writeFileSync(path, HELLO.with(3, 0));
  else if (damage === "emptied") writeFileSync(path, "");
  else if (damage === "a directory") spawnSync("mkdir", ["-p", join(path, "inside")]);
  else if (damage === "a symbolic link") spawnSync("ln", ["-s", "/etc/passwd", path]);
  else spawnSync("mkfifo", [path]);
}
