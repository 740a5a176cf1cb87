import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import { findPeer, hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { mountsBelow, openCliWorld } from "./support/cli-world.ts";

const CAN_MOUNT = process.platform === "linux" && process.getuid?.() === 0;

describe.runIf(CAN_MOUNT)("containers (mounting takes root)", () => {
  test("R14: start prints a bundle at the fresh mount, and the template stays as it was", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const pod = await world.ok("pod", "create", "p1");
    const container = await world.ok("create", "--pod", pod, "--name", "c1", world.image);
    const before = JSON.parse(await world.ok("status", "c1"));
    expect(before).toMatchObject({
      id: container,
      podId: pod,
      names: ["c1"],
      imageRef: `${world.host}/shell@${world.digest}`,
    });
    const template = await readFile(join(before.workDir, "config.json"));
    const bundles: string[] = [];
    for (let start = 0; start < 2; start += 1) {
      const bundle = await world.ok("start", container);
      bundles.push(bundle);
      const { mountPoint } = JSON.parse(await world.ok("status", container));
      const config = JSON.parse(await readFile(join(bundle, "config.json"), "utf8"));
      expect(config.root.path).toBe(mountPoint);
      expect(await mountsBelow(world.path)).toEqual([mountPoint]);
      await world.ok("stop", container);
      expect(await mountsBelow(world.path)).toEqual([]);
      await rm(join(world.path, "run"), { recursive: true });
    }
    expect(await readFile(join(before.workDir, "config.json"))).toEqual(template);
    await world.ok("pod", "rm", pod);
    expect(JSON.parse(await world.ok("--format", "json", "ps"))).toEqual([]);
  });

  test("R7: an image that a container uses is exit code 10, and the message says by which", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const pod = await world.ok("pod", "create", "p1");
    const container = await world.ok("create", "--pod", pod, world.image);
    const { code, stderr } = await world.run(["rmi", world.image]);
    expect(code).toBe(10);
    expect(stderr).toContain(container.slice(0, 12));
    await world.ok("rm", container);
    await world.ok("rmi", world.image);
  });

  test("R11: a pod pulls the image of its infra container, and a container none", async () => {
    await using world = await openCliWorld();
    const infra = ["--image", world.image, "--tls-verify=false"];
    const pod = await world.ok("pod", "create", "p1", ...infra);
    const [image] = JSON.parse(await world.ok("--format", "json", "images"));
    expect(image.names).toEqual([world.image]);
    expect(JSON.parse(await world.ok("status", pod))).toMatchObject({
      id: pod,
      podId: pod,
      imageRef: image.canonical,
    });
    await world.put("other", "1", { layers: [{ entries: [] }], config: { Cmd: ["/c"] } });
    const missing = await world.run(["create", "--pod", pod, `${world.host}/other:1`]);
    expect(missing.code).toBe(3);
    await world.ok("policy", "init", "--force", "--trust", "registry.example.com/team");
    expect((await world.run(["pod", "create", "p2", ...infra])).code).toBe(7);
    expect(JSON.parse(await world.ok("--format", "json", "pod", "ls"))).toHaveLength(1);
    await world.ok("pod", "rm", pod);
  });

  test("an image whose record went while it was mounted is unmounted by its ID", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const mountPoint = await world.ok("mount", world.image);
    const [image] = JSON.parse(await world.ok("--format", "json", "images"));
    await rm(join(world.path, "root/images"), { recursive: true });
    expect((await world.run(["umount", world.image])).code).not.toBe(0);
    expect(await world.run(["umount", "0123456789ab"])).toMatchObject({ code: 3 });
    expect(await mountsBelow(world.path)).toEqual([mountPoint]);
    await world.ok("umount", image.id.slice("sha256:".length, 19));
    expect(await mountsBelow(world.path)).toEqual([]);
  });

  test("R12: stopping and removing what is not there is fine, starting it is not", async () => {
    await using world = await openCliWorld();
    await world.ok("stop", "none");
    await world.ok("rm", "none");
    expect(await world.run(["start", "none"])).toMatchObject({ code: 3 });
  });

  test("R19: policy is asked again before a container is made", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const pod = await world.ok("pod", "create", "p1");
    await world.ok("policy", "init", "--force", "--trust", "registry.example.com/team");
    expect(await world.run(["create", "--pod", pod, world.image])).toMatchObject({ code: 7 });
    expect(await world.run(["run", world.image])).toMatchObject({ code: 125 });
  });

  test("mount shows an image read-only, once however often, until umount", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const point = await world.ok("mount", world.image);
    expect(await readFile(join(point, "etc/passwd"), "utf8")).toContain("root:x:0:0");
    expect(await world.ok("mount", world.image)).toBe(point);
    expect(await mountsBelow(world.path)).toEqual([point]);
    await world.ok("umount", world.image);
    await world.ok("umount", world.image);
    expect(await mountsBelow(world.path)).toEqual([]);
  });
});

describe.runIf(CAN_MOUNT && hasPeer("runc"))("run (takes root and runc)", () => {
  test("prints what the process prints, and ends as it ends", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const runc = findPeer("runc") ?? "";
    expect(await world.run(["run", "--runtime", runc, world.image])).toMatchObject({
      code: 0,
      stdout: "hello from the image\n",
    });
    const asked = [
      "run",
      "--runtime",
      runc,
      "--workdir",
      "/tmp",
      "--env",
      "A=b c",
      "--env",
      "B=d",
      world.image,
      "--",
      "/bin/sh",
      "-c",
      'echo "$A" "$B" "$(pwd)" "$(umask)"; exit 7',
    ];
    const wrap = ["sh", "-c", 'umask 077; "$@"', "sh"];
    expect(await world.run(asked, { wrap })).toMatchObject({
      code: 7,
      stdout: "b c d /tmp 0022\n",
    });
    expect(await mountsBelow(world.path)).toEqual([]);
    expect(JSON.parse(await world.ok("--format", "json", "ps"))).toEqual([]);
  });

  test("a command that is not there is 127, a runtime that is not there 125", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const runc = findPeer("runc") ?? "";
    const { code, stderr } = await world.run(["run", "--runtime", runc, world.image, "/none"]);
    expect(code).toBe(127);
    expect(stderr.match(/no such file|not found/g)).toHaveLength(1);
    const json = await world.run(["--format=json", "run", "--runtime", runc, world.image, "/none"]);
    expect(JSON.parse(json.stderr.trim().split("\n").at(-1) ?? "")).toMatchObject({
      error: { code: "ERR_RUNTIME_COMMAND_NOT_FOUND" },
    });
    expect(await world.run(["run", "--runtime", "none", world.image])).toMatchObject({ code: 125 });
    expect(await mountsBelow(world.path)).toEqual([]);
  });

  test.for(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s reaches the process, which may end in order",
    async (signal) => {
      await using world = await openCliWorld();
      await world.ok("pull", "--tls-verify=false", world.image);
      const script =
        'trap "echo heard; exit 7" INT TERM HUP; echo up >&2; while :; do sleep 0.1; done';
      const runc = findPeer("runc") ?? "";
      const running = world.start([
        "run",
        "--runtime",
        runc,
        world.image,
        "--",
        "/bin/sh",
        "-c",
        script,
      ]);
      await running.shown("up");
      running.kill(signal);
      expect(await running.outcome).toMatchObject({ code: 7, stdout: "heard\n" });
      expect(await mountsBelow(world.path)).toEqual([]);
    },
  );

  test("A09: an interrupt ends the process too, and leaves nothing", async () => {
    await using world = await openCliWorld();
    await world.ok("pull", "--tls-verify=false", world.image);
    const running = world.start([
      "run",
      "--runtime",
      findPeer("runc") ?? "",
      world.image,
      "--",
      "/bin/sh",
      "-c",
      "echo up >&2; sleep 60",
    ]);
    await running.shown("up");
    // The first is for the process, which as the first of its kind hears none that it has not asked for.
    running.kill("SIGTERM");
    running.kill("SIGINT");
    // Of two at once the kernel says which comes last.
    expect((await running.outcome).code).toBeOneOf([130, 143]);
    expect(await mountsBelow(world.path)).toEqual([]);
    expect(JSON.parse(await world.ok("--format", "json", "ps"))).toEqual([]);
  });
});
