import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { layoutFolderDestination } from "@stowage/registry";
import { hasPeer, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const CHILD = fileURLToPath(new URL("../support/lock-child.ts", import.meta.url));
const canUnshare = process.getuid?.() === 0 && hasPeer("unshare");

test("a layout that another process keeps locked is given up in the end, and names who has it", async () => {
  await using folder = await tempDir();
  const lock = join(folder.path, ".index.json.lock");
  await writeFile(lock, `${process.pid}\n`);
  await using destination = layoutFolderDestination(folder.path, "it", { lockTimeout: 50 });
  await expect(destination.commit()).rejects.toMatchObject({
    code: "ERR_REGISTRY_BUSY",
    message: expect.stringContaining(String(process.pid)) as unknown,
  });
});

describe.runIf(canUnshare)("a lock of another container (if root, with unshare)", () => {
  test("is held, though no process here has its number, until it is let go", async () => {
    await using folder = await tempDir();
    const lock = join(folder.path, ".index.json.lock");
    // In a namespace of its own it is number 1, as is this machine's first process.
    const node = [process.execPath, "--conditions=@stowage/source", CHILD, lock];
    const child = spawn("unshare", ["--pid", "--fork", "--mount-proc", ...node], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    await using destination = layoutFolderDestination(folder.path, "it", { lockTimeout: 100 });
    await expect(destination.commit()).rejects.toMatchObject({
      code: "ERR_REGISTRY_BUSY",
      message: expect.stringMatching(/held by process 1$/) as unknown,
    });
    child.stdin.end();
    await once(child, "exit");
    await destination.commit();
  });

  test("is nobody's once the machine has started again", async () => {
    await using folder = await tempDir();
    const lock = join(folder.path, ".index.json.lock");
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const other = boot.replaceAll(/[0-9a-f]/g, (digit) => (digit === "0" ? "1" : "0"));
    await writeFile(lock, `1 1 0123456789abcdef ${boot}\n`);
    await using held = layoutFolderDestination(folder.path, "it", { lockTimeout: 100 });
    await expect(held.commit()).rejects.toMatchObject({ code: "ERR_REGISTRY_BUSY" });
    await writeFile(lock, `1 1 0123456789abcdef ${other}\n`);
    await using destination = layoutFolderDestination(folder.path, "it", { lockTimeout: 100 });
    await destination.commit();
  });
});
