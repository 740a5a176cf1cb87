import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { copyImage, startDockerRegistry } from "./support/docker-registry.ts";
import { isInstalled } from "./support/private-mounts.ts";
import { CAN_MOUNT, openRuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const PEERS = ["docker-registry", "skopeo", "runc"].filter((name) => !isInstalled(name));
const READY = CAN_MOUNT && PEERS.length === 0;
const WHY_NOT = READY ? "" : ` (needs root and ${PEERS.join(", ")})`;

describe.skipIf(!READY)(`an image that skopeo put into docker-registry${WHY_NOT}`, () => {
  test("R1-R14: is pulled, checked, kept, mounted and run", async () => {
    await using registry = await startDockerRegistry();
    const name = `${registry.host}/team/shell:2`;
    await using served = await serveShellImage();
    await copyImage(served.name, name);
    await using world = await openRuntimeWorld();
    const { runtime } = world;
    expect(await runtime.images.canPull(name, {})).toBe(true);
    const { canonical, transferred } = await runtime.images.pull(name, {});
    expect(canonical).toBe(`${registry.host}/team/shell@${served.digest}`);
    expect(transferred.blobs).toBeGreaterThan(0);
    expect((await runtime.images.pull(name, {})).transferred).toMatchObject({ blobs: 0 });
    expect((await runtime.images.imageStatus(name))?.tags).toEqual([name]);
    const layout = `oci:${join(world.path, "root")}:${name}`;
    const seen: unknown = JSON.parse(
      execFileSync("skopeo", ["inspect", "--raw", layout], { encoding: "utf8" }),
    );
    expect(seen).toMatchObject({ schemaVersion: 2 });
    let output = "";
    const code = await runtime.runContainer({
      image: canonical,
      runtime: "runc",
      stdio: ["ignore", "pipe", "inherit"],
      onSpawn: (child) => child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString())),
    });
    expect({ code, output }).toEqual({ code: 0, output: "hello from the image\n" });
    expect(await world.mounts()).toEqual([]);
  });
});
