import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { ImageExecution } from "@stowage/content";
import {
  CONFIG_FILE,
  createOciConfig,
  type OciConfig,
  writeBundle,
  writeTemplate,
} from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { createScratch } from "./support/host-root.ts";

const ID = "a".repeat(64);

describe("R14 writeTemplate and writeBundle", () => {
  test("PM-31: a start replaces the root in its own copy, and leaves the template as it is", async () => {
    await using dirs = await createDirs();
    await writeTemplate(dirs.workDir, configOf({ Cmd: ["/c"] }));
    const template = await readFile(join(dirs.workDir, CONFIG_FILE));
    await expect(writeBundle(dirs)).resolves.toBe(dirs.runDir);
    expect(await readFile(join(dirs.workDir, CONFIG_FILE))).toEqual(template);
    const written = await readJson(join(dirs.runDir, CONFIG_FILE));
    const before = JSON.parse(template.toString()) as OciConfig;
    expect(written).toEqual({
      ...before,
      process: { ...before.process, user: { uid: 0, gid: 0, additionalGids: [0], umask: 0o022 } },
      root: { ...before.root, path: dirs.mountPoint },
    });
  });

  test("PM-32: the same again after the run directory was wiped", async () => {
    await using dirs = await createDirs();
    await writeTemplate(dirs.workDir, configOf({ Cmd: ["/c"] }));
    await writeBundle(dirs);
    const first = await readFile(join(dirs.runDir, CONFIG_FILE), "utf8");
    await rm(dirs.runDir, { recursive: true });
    await mkdir(dirs.runDir);
    await writeBundle(dirs);
    expect(await readFile(join(dirs.runDir, CONFIG_FILE), "utf8")).toBe(first);
  });

  test("keeps what the template has that this package would not write", async () => {
    await using dirs = await createDirs();
    const config = { ...configOf({ Cmd: ["/c"] }), hooks: { poststop: [{ path: "/h" }] } };
    await writeTemplate(dirs.workDir, config);
    await writeBundle(dirs);
    expect(await readJson(join(dirs.runDir, CONFIG_FILE))).toMatchObject({ hooks: config.hooks });
  });

  test("a template is written once, and leaves nothing beside it", async () => {
    await using dirs = await createDirs();
    await writeTemplate(dirs.workDir, configOf({ Cmd: ["/first"] }));
    const again = writeTemplate(dirs.workDir, configOf({ Cmd: ["/second"] }));
    await expect(again).rejects.toMatchObject({ code: "ERR_RUNTIME_TEMPLATE_EXISTS" });
    expect(await readJson(join(dirs.workDir, CONFIG_FILE))).toMatchObject({
      process: { args: ["/first"] },
    });
    expect(await readdir(dirs.workDir)).toEqual([CONFIG_FILE]);
  });

  test("a start without a template, or with a damaged one, is a named error", async () => {
    await using dirs = await createDirs();
    await expect(writeBundle(dirs)).rejects.toMatchObject({ code: "ERR_RUNTIME_NO_TEMPLATE" });
    await writeFile(join(dirs.workDir, CONFIG_FILE), "{");
    await expect(writeBundle(dirs)).rejects.toMatchObject({ code: "ERR_RUNTIME_INVALID_TEMPLATE" });
    expect(await readdir(dirs.runDir)).toEqual([]);
  });

  test.for(["proc", "sys", "dev"])(
    "V63 T44: refuses an image whose /%s is a link",
    async (name) => {
      await using dirs = await createDirs();
      await symlink("/etc", join(dirs.mountPoint, name));
      await writeTemplate(dirs.workDir, configOf({ Cmd: ["/c"] }));
      await expect(writeBundle(dirs)).rejects.toMatchObject({ code: "ERR_RUNTIME_UNSAFE_ROOT" });
    },
  );

  test("V64: refuses a working directory that the image links to /proc", async () => {
    await using dirs = await createDirs();
    await symlink("/proc/self/fd/7", join(dirs.mountPoint, "srv"));
    await writeTemplate(dirs.workDir, configOf({ Cmd: ["/c"], WorkingDir: "/srv/x" }));
    await expect(writeBundle(dirs)).rejects.toMatchObject({ code: "ERR_RUNTIME_INVALID_PROCESS" });
  });

  test("V24: each container has the environment of its own template", async () => {
    await using one = await createDirs();
    await using other = await createDirs();
    await writeTemplate(one.workDir, configOf({ Cmd: ["/c"], Env: ["SECRET=1"] }));
    await writeTemplate(other.workDir, configOf({ Cmd: ["/c"] }));
    await writeBundle(one);
    await writeBundle(other);
    expect(await readFile(join(other.runDir, CONFIG_FILE), "utf8")).not.toContain("SECRET");
  });
});

async function createDirs() {
  const scratch = await createScratch();
  const dirs = {
    workDir: join(scratch.path, "work"),
    runDir: join(scratch.path, "run"),
    mountPoint: join(scratch.path, "merged"),
  };
  for (const path of Object.values(dirs)) await mkdir(path);
  return { ...dirs, [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose]() };
}

function configOf(config: ImageExecution): OciConfig {
  return createOciConfig(ID, { config, rootfs: { type: "layers", diff_ids: [] } });
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}
