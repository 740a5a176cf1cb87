import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { digestOf } from "@stowage/content";
import { findPeer, hasPeer, startDockerRegistry } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { mountsBelow, openCliWorld } from "./support/cli-world.ts";

const execute = promisify(execFile);
const NEEDED = ["docker-registry", "skopeo", "umoci", "crun", "runc"];
const MISSING = [
  ...(process.getuid?.() === 0 ? [] : ["root"]),
  ...NEEDED.filter((name) => !hasPeer(name)),
];
const WHY_NOT = MISSING.length === 0 ? "" : ` (lacks ${MISSING.join(", ")})`;

// crun refuses hosts with both versions of cgroups; without the second one, it works on any.
const UNIFIED = "/sys/fs/cgroup/unified";
const HYBRID = existsSync(`${UNIFIED}/cgroup.controllers`);
const WHERE_CRUN_WORKS = HYBRID
  ? ["unshare", "--mount", "sh", "-c", `umount ${UNIFIED} && exec "$@"`, "sh"]
  : [];

describe.skipIf(MISSING.length > 0)(`the main job${WHY_NOT}`, () => {
  test("an image that skopeo put into docker-registry is pulled, listed, read by others, and run by crun and runc", async () => {
    await using world = await openCliWorld();
    await using registry = await startDockerRegistry();
    const name = `${registry.host}/ns/app:1.0`;
    await execute("skopeo", [
      "--insecure-policy",
      "copy",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
      `docker://${world.image}`,
      `docker://${name}`,
    ]);
    const canonical = `${registry.host}/ns/app@${world.digest}`;
    const pulled = await world.run(["pull", "--tls-verify=false", name]);
    expect([pulled.code, pulled.stdout]).toEqual([0, `${canonical}\n`]);
    expect(JSON.parse(await world.ok("images", "--format", "json"))).toMatchObject([
      { names: [name], digests: [canonical], canonical },
    ]);

    const root = join(world.path, "root");
    const raw = await execute("skopeo", ["inspect", "--raw", `oci:${root}:${name}`], {
      encoding: "buffer",
    });
    expect(digestOf(raw.stdout)).toBe(world.digest);
    const told = await execute("skopeo", ["inspect", `oci:${root}:${name}`]);
    expect(JSON.parse(told.stdout)).toMatchObject({ Digest: world.digest, Os: "linux" });
    const index = JSON.parse(await readFile(join(root, "index.json"), "utf8"));
    const names = index.manifests.map(
      (entry: { annotations: Record<string, string> }) =>
        entry.annotations["org.opencontainers.image.ref.name"],
    );
    const listed = (await execute("umoci", ["ls", "--layout", root])).stdout.trim().split("\n");
    expect(listed.toSorted()).toEqual(names.toSorted());
    const bundle = join(world.path, "unpacked");
    await execute("umoci", ["unpack", "--image", `${root}:${listed[0]}`, bundle]);
    const passwd = await readFile(join(bundle, "rootfs/etc/passwd"), "utf8");
    expect(passwd).toMatch(/^root:x:0:0/);

    const script = ["--", "/bin/sh", "-c", "echo out; echo err >&2; exit 42"];
    for (const [runtime, wrap] of [
      ["crun", WHERE_CRUN_WORKS],
      ["runc", []],
    ] as const) {
      const by = ["run", "--runtime", findPeer(runtime) ?? ""];
      const own = await world.run([...by, name], { wrap });
      expect(own, runtime).toEqual({ code: 0, stdout: "hello from the image\n", stderr: "" });
      const asked = await world.run([...by, canonical, ...script], { wrap });
      expect(asked, runtime).toEqual({ code: 42, stdout: "out\n", stderr: "err\n" });
    }
    expect(await mountsBelow(world.path)).toEqual([]);
    expect(JSON.parse(await world.ok("--format", "json", "ps"))).toEqual([]);
  });

  test.runIf(HYBRID)(
    "without a runtime that is asked for, takes the one that can work here, and says why the other cannot",
    async () => {
      await using world = await openCliWorld();
      await world.ok("pull", "--tls-verify=false", world.image);
      const chosen = await world.run(["run", world.image]);
      expect(chosen).toMatchObject({ code: 0, stdout: "hello from the image\n" });
      expect(chosen.stderr).toMatch(/^crun cannot run containers on this host: .*hybrid cgroups/);
      const asked = await world.run(["--format", "json", "run", "--runtime", "crun", world.image]);
      expect([asked.code, JSON.parse(asked.stderr).error.code]).toEqual([
        125,
        "ERR_RUNTIME_UNUSABLE",
      ]);
      const failed = await world.run(["--format", "json", "run", "none"]);
      expect(JSON.parse(failed.stderr).error.code).toBe("ERR_IMAGE_NOT_FOUND");
    },
  );
});
