import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { acquireLock, tryAcquireLock } from "../src/store-lock.ts";

describe("a lock", () => {
  test("is shared by many or held by one, in one process too", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "x.lock");
    const one = await acquireLock(path, "shared");
    const two = await acquireLock(path, "shared");
    expect(tryAcquireLock(path, "exclusive")).toBeUndefined();
    one[Symbol.dispose]();
    expect(tryAcquireLock(path, "exclusive")).toBeUndefined();
    two[Symbol.dispose]();
    using held = await acquireLock(path, "exclusive");
    expect(tryAcquireLock(held.path, "shared")).toBeUndefined();
  });

  test("K09: of a living process is StoreBusy after a while, and names it; of a dead one is free", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "x.lock");
    const script = join(import.meta.dirname, "support/hold-lock.ts");
    const holder = spawn(process.execPath, ["--conditions=@stowage/source", script, path], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const waited = acquireLock(path, "exclusive", { timeoutMs: 50 });
    await expect(waited).rejects.toMatchObject({
      code: "ERR_STORE_BUSY",
      kind: "StoreBusy",
      message: expect.stringMatching(
        new RegExp(String.raw`process ${holder.pid} \(node hold-lock\.ts\) since \d{4}-`),
      ),
    });
    const next = acquireLock(path, "exclusive");
    holder.kill("SIGKILL");
    using _held = await next;
  });

  test("names those that share it, too, and not one that has only opened it", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "x.lock");
    const script = join(import.meta.dirname, "support/hold-lock.ts");
    const args = ["--conditions=@stowage/source", script, path, "shared"];
    const holder = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    const waited = acquireLock(path, "exclusive", { timeoutMs: 50 });
    await expect(waited).rejects.toMatchObject({
      code: "ERR_STORE_BUSY",
      message: `${path} is locked by process ${holder.pid} (node hold-lock.ts)`,
    });
    holder.kill("SIGKILL");
  });

  test("K09: works where its file is missing or an empty directory", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "x.lock");
    mkdirSync(path);
    {
      using _held = await acquireLock(path, "exclusive");
      rmSync(path);
      using _other = await acquireLock(path, "exclusive");
    }
    expect(tryAcquireLock(join(directory.path, "missing"), "shared", true)).toBeUndefined();
  });

  test("rejects with the reason of its signal", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "x.lock");
    using _held = await acquireLock(path, "exclusive");
    const controller = new AbortController();
    const waited = acquireLock(path, "shared", { signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(waited).rejects.toBe(reason);
  });
});

function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "stowage-lock-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}
