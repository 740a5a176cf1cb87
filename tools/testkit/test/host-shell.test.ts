import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { createTar, hostShellEntries, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test("has a shell, users, and a place for temporary files", () => {
  const entries = new Map(hostShellEntries().map((entry) => [entry.name, entry]));
  expect(entries.get("bin/sh")).toMatchObject({ mode: 0o755 });
  expect(entries.get("tmp/")).toMatchObject({ type: "directory", mode: 0o1777 });
  expect(entries.has("etc/passwd")).toBe(true);
});

test.runIf(process.getuid?.() === 0)("runs in a root of its own (if root)", async () => {
  await using folder = await tempDir();
  const root = join(folder.path, "root");
  await mkdir(root);
  execFileSync("tar", ["-C", root, "-xf", "-"], { input: createTar(hostShellEntries()) });
  const ran = execFileSync("chroot", [root, "/bin/sh", "-c", "echo from $(pwd)"]);
  expect(ran.toString()).toBe("from /\n");
});
