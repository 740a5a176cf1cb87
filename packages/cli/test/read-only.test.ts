import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { expect, test } from "vitest";

import { openCliWorld } from "./support/cli-world.ts";

const IS_ROOT = process.getuid?.() === 0;

test.skipIf(!IS_ROOT)(
  "a store that is mounted read-only is looked at, and 12 where it would be changed (needs root)",
  async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    await world.ok("pod", "create", "demo");
    const root = join(world.path, "root");
    execFileSync("mount", ["--bind", root, root]);
    execFileSync("mount", ["-o", "remount,bind,ro", root]);
    expect(JSON.parse(await world.ok("--format=json", "images"))).toMatchObject([
      { names: [world.image] },
    ]);
    for (const words of [
      ["inspect", world.image],
      ["fsck"],
      ["info"],
      ["df"],
      ["pulls"],
      ["pod", "ls"],
      ["ps"],
      ["policy", "explain", "--local", world.image],
      ["gc", "--dry-run"],
      ["prune", "--dry-run"],
      ["mount", world.image],
      ["umount", world.image],
      ["copy", `store:${world.image}`, `oci:${join(world.path, "layout")}:one`],
    ]) {
      await world.ok(...words);
    }
    for (const words of [
      ["tag", world.image, "localhost/other:1"],
      ["rmi", world.image],
      ["untag", world.image],
      ["gc"],
      ["pod", "create", "other"],
      ["pod", "rm", "demo"],
      ["pull", "--tls-verify=false", world.image],
      ["export", "podman", join(world.path, "podman")],
    ]) {
      const { code, stderr } = await world.run(["--format=json", ...words]);
      const { error } = JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
      expect({ words, code, error }).toMatchObject({
        words,
        code: 12,
        error: {
          code: "ERR_STORE_READ_ONLY",
          message: expect.stringContaining("read-only file system"),
          hint: expect.stringContaining("mounted read-only"),
        },
      });
    }
  },
);
