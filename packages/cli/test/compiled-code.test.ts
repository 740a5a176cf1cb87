import { chown, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { type CliWorld, openCliWorld, type Outcome } from "./support/cli-world.ts";

const NOBODY = 65534;
const KEPT = /\/[0-9a-f]{8}$/;

/** Runs `images` as root on a machine whose `/var/cache` is `caches`, before and after which `script` runs. */
function runAsRoot(world: CliWorld, caches: string, script = '"$@"'): Promise<Outcome> {
  const before = `mount --bind ${caches} /var/cache; ${script}`;
  const wrap = ["unshare", "--mount", "sh", "-ec", before, "sh"];
  return world.run(["images"], { wrap, env: { NODE_COMPILE_CACHE: undefined } });
}

async function keptIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.map((name) => join(folder, name)).filter((path) => KEPT.test(path));
}

async function makeCaches(world: CliWorld): Promise<string> {
  const caches = join(world.path, "caches");
  await mkdir(caches);
  return caches;
}

describe.runIf(process.getuid?.() === 0)("compiled code (takes root, to become others)", () => {
  test("is kept for root where only root may write, and what is damaged there is no matter", async () => {
    await using world = await openCliWorld();
    const caches = await makeCaches(world);
    const first = await runAsRoot(world, caches, 'HOME=/nowhere XDG_CACHE_HOME=/nowhere "$@"');
    expect(first).toMatchObject({ code: 0, stderr: "" });
    const folder = join(caches, "stowage");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const kept = await keptIn(folder);
    expect(kept.length).toBeGreaterThan(3);
    for (const path of kept) await writeFile(path, "damaged ".repeat(1000));
    expect(await runAsRoot(world, caches)).toEqual(first);
    expect(await runAsRoot(world, caches)).toEqual(first);
  });

  test.for([
    ["others may write to", 0, 0o777],
    ["is another user's", NOBODY, 0o700],
  ] as const)("is not kept in a folder that %s", async ([, owner, mode]) => {
    await using world = await openCliWorld();
    const caches = await makeCaches(world);
    const folder = join(caches, "stowage");
    await mkdir(folder);
    await chown(folder, owner, owner);
    const script = `chmod ${mode.toString(8)} ${folder}; "$@"`;
    expect(await runAsRoot(world, caches, script)).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(folder)).toEqual([]);
  });

  test("is not kept where there is no room or no way to write, which nobody hears of", async () => {
    await using world = await openCliWorld();
    const caches = await makeCaches(world);
    for (const options of ["ro", "size=4k"]) {
      const script = `mount -t tmpfs -o ${options} none /var/cache; "$@"`;
      expect(await runAsRoot(world, caches, script), options).toMatchObject({
        code: 0,
        stderr: "",
      });
    }
  });

  test("is not kept for root on a system without such a folder, which is not made", async () => {
    await using world = await openCliWorld();
    const script = `mount -t tmpfs none /var; "$@"; ls -A /var >&2`;
    const wrap = ["unshare", "--mount", "sh", "-ec", script, "sh"];
    const env = { NODE_COMPILE_CACHE: undefined };
    expect(await world.run(["images"], { wrap, env })).toMatchObject({ code: 0, stderr: "" });
  });

  test.for([
    ["XDG_CACHE_HOME", "caches", ".", "caches/stowage"],
    ["HOME, where XDG_CACHE_HOME is not absolute", undefined, "home", "home/.cache/stowage"],
  ] as const)("is kept for another user below %s", async ([, caches, home, folder]) => {
    await using world = await openCliWorld();
    const own = join(world.path, "own");
    await mkdir(own);
    await chown(own, NOBODY, NOBODY);
    const wrap = [
      "sh",
      "-c",
      `chmod 711 ${world.path}; cd ${own}; exec "$@"`,
      "sh",
      "setpriv",
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      "--clear-groups",
    ];
    const { code } = await world.run(["images"], {
      wrap,
      env: {
        NODE_COMPILE_CACHE: undefined,
        STOWAGE_ROOT: join(own, "root"),
        STOWAGE_RUN_ROOT: join(own, "run"),
        XDG_CACHE_HOME: caches === undefined ? "relative" : join(own, caches),
        HOME: join(own, home),
      },
    });
    expect(code).toBe(0);
    expect((await keptIn(join(own, folder))).length).toBeGreaterThan(3);
  });
});
