import { chmod, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";

import { openFolder } from "../src/folder.ts";

const UID = process.getuid?.() ?? 0;

async function temporary(): Promise<{ readonly path: string; readonly usual: string }> {
  const { path, ...folder } = await tempDir();
  vi.stubEnv("TMPDIR", path);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await folder[Symbol.asyncDispose]();
  });
  return { path, usual: join(path, `stowage-quickstart-${UID}`) };
}

describe("openFolder", () => {
  test("is the same each time, but not for two at once", async () => {
    const { usual } = await temporary();
    expect(await openFolder()).toBe(usual);
    // This process has it already, as another would.
    const second = await openFolder();
    expect(second).not.toBe(usual);
    expect(second.startsWith(`${usual}-`)).toBe(true);
  });

  test("takes what an earlier run has left", async () => {
    const { usual } = await temporary();
    await mkdir(usual, { mode: 0o700 });
    expect(await openFolder()).toBe(usual);
  });

  test("does not follow a link that somebody has put in its place", async () => {
    const { path, usual } = await temporary();
    const precious = join(path, "precious");
    await mkdir(precious, { mode: 0o700 });
    await symlink(precious, usual);
    expect(await openFolder()).not.toBe(usual);
    expect(await readdir(precious)).toEqual([]);
  });

  test("does not take one that others may write in", async () => {
    const { usual } = await temporary();
    await mkdir(usual);
    await chmod(usual, 0o777);
    expect(await openFolder()).not.toBe(usual);
  });
});
