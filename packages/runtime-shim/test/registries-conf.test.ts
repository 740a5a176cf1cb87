import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { RegistryEvent } from "@stowage/registry";
import { copyBetween, parseCopyLocation, type RuntimeOptions } from "@stowage/runtime-shim";
import { buildImage, writeOciLayout } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";
import { type ServedImage, serveShellImage } from "./support/served-image.ts";

const ALLOW = [{ type: "insecureAcceptAnything" }];

describe("short names", () => {
  test("an alias is what is pulled, and what the image is found by", async () => {
    await using served = await serveShellImage();
    await using world = await openWorld(`[aliases]\n"sh" = "${served.host}/shell"\n`);
    const { images } = world.runtime;
    expect(await images.canPull("sh:1")).toBe(true);
    expect((await images.pull("sh:1", {})).canonical).toBe(`${served.host}/shell@${served.digest}`);
    const id = (await images.imageStatus("sh:1"))?.id;
    expect(id).toMatch(/^sha256:/);
    expect((await images.inspect("sh:1")).id).toBe(id);
    expect((await images.requireImage("sh:1")).names).toEqual([served.name]);
    expect(await images.listImages("sh:1")).toMatchObject([{ id }]);
    expect(await images.tag("sh:1", "sh:2")).toBe("docker.io/library/sh:2");
    expect(await images.untagImage("sh:1")).toMatchObject({ names: [served.name] });
    expect((await images.removeImage("sh:2")).id).toBe(id);
  });

  test("the registries to search are tried in order, and what failed is told", async () => {
    await using served = await serveShellImage();
    await using empty = await serveShellImage({ auth: { username: "u", password: "p" } });
    await using world = await openWorld(search(empty, served));
    const { images } = world.runtime;
    expect((await images.pull("shell:1", {})).canonical).toContain(served.host);
    expect(world.warnings).toEqual([
      expect.stringContaining(`shell:1: not taken from ${empty.host}/shell:1: `),
    ]);
    expect((await images.imageStatus("shell:1"))?.names).toEqual([served.name]);
    await expect(images.pull("absent", {})).rejects.toMatchObject({
      code: "ERR_REGISTRY_AUTH_FAILED",
    });
  });

  test("what policy rejects is not looked for elsewhere", async () => {
    await using first = await serveShellImage();
    await using second = await serveShellImage();
    await using world = await openWorld(search(first, second));
    const policy = {
      default: ALLOW,
      transports: { docker: { [first.host]: [{ type: "reject" }] } },
    };
    await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
    await expect(world.runtime.images.pull("shell:1", {})).rejects.toMatchObject({
      kind: "PolicyRejected",
    });
    expect(await world.runtime.images.listImages()).toEqual([]);
  });

  test("a choice is asked for once, and recorded when the image is here", async () => {
    await using first = await serveShellImage();
    await using second = await serveShellImage();
    const asked: (readonly [string, readonly string[]])[] = [];
    await using world = await openWorld(search(first, second), {
      choose: async (name, candidates) => {
        asked.push([name, candidates]);
        return candidates[asked.length - 1] ?? "";
      },
    });
    const { images } = world.runtime;
    const policy = {
      default: ALLOW,
      transports: { docker: { [first.host]: [{ type: "reject" }] } },
    };
    await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
    await expect(images.pull("shell:1", {})).rejects.toMatchObject({ kind: "PolicyRejected" });
    expect((await images.pull("shell:1", {})).canonical).toContain(second.host);
    expect((await images.pull("shell:1", {})).canonical).toContain(second.host);
    const candidates = [`${first.host}/shell:1`, `${second.host}/shell:1`];
    expect(asked).toEqual([
      ["shell:1", candidates],
      ["shell:1", candidates],
    ]);
    expect(world.warnings).toEqual([]);
  });

  test("a copy into the store asks before it opens what is copied, and records what proved right", async () => {
    await using world = await openWorld('unqualified-search-registries = ["a.test", "b.test"]\n');
    const asked: string[] = [];
    const options: RuntimeOptions = {
      ...world.options,
      choose: async (name, candidates) => {
        asked.push(name);
        return candidates[1] ?? "";
      },
    };
    const to = parseCopyLocation("store:app:1");
    const layout = join(world.path, "layout");
    const from = parseCopyLocation(`oci:${layout}:it`);
    await expect(copyBetween(from, to, options)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
    expect(asked).toEqual(["app:1"]);
    await writeOciLayout(layout, { it: buildImage({ layers: [] }) });
    await copyBetween(from, to, options);
    await copyBetween(from, to, options);
    expect(asked).toEqual(["app:1", "app:1"]);
    expect(await world.runtime.images.requireImage("b.test/app:1")).toMatchObject({});
  });

  test("enforcing, several candidates and nobody to ask: nothing is asked for", async () => {
    await using first = await serveShellImage();
    await using second = await serveShellImage();
    await using world = await openWorld(search(first, second), { shortNameMode: "enforcing" });
    await expect(world.runtime.images.pull("shell:1", {})).rejects.toMatchObject({
      code: "ERR_REGISTRY_SHORT_NAME",
    });
  });

  test("R5, R6: without configuration a short name is Docker Hub's; an ID is an ID in any case", async () => {
    await using served = await serveShellImage();
    await using world = await openWorld("");
    const { images } = world.runtime;
    await images.pull(served.name, {});
    await images.tag(served.name, "docker.io/library/box:latest");
    const id = (await images.imageStatus("box"))?.id ?? "";
    expect(await images.listImages("box")).toHaveLength(1);
    await writeFile(join(world.path, "registries.conf"), search(served));
    const digits = id.replace("sha256:", "");
    for (const name of ["box", digits, digits.slice(0, 8), id]) {
      expect((await images.imageStatus(name))?.id).toBe(id);
    }
    await expect(images.pull(digits, {})).rejects.toMatchObject({
      code: "ERR_IMAGE_INVALID_ARGUMENT",
    });
  });
});

describe("registries.conf", () => {
  test("N21: a mirror serves the image, which keeps its own name; events say who did", async () => {
    await using served = await serveShellImage();
    const events: RegistryEvent[] = [];
    const conf = `[[registry]]\nlocation = "registry.invalid/team"\n[[registry.mirror]]\nlocation = "${served.host}"\n`;
    await using world = await openWorld(conf, { onRegistryEvent: (event) => events.push(event) });
    const { canonical } = await world.runtime.images.pull("registry.invalid/team/shell:1", {});
    expect(canonical).toBe(`registry.invalid/team/shell@${served.digest}`);
    const file = join(world.path, "registries.conf");
    expect(events).toContainEqual({ type: "config-file", file, unknownKeys: [] });
    expect(events).toContainEqual({
      type: "source",
      repository: "registry.invalid/team/shell",
      target: "1",
      source: `${served.host}/shell`,
      mirror: true,
    });
  });

  test("C01: a mistake stops the first pull; a later one is told, and what was read stays in force", async () => {
    await using served = await serveShellImage();
    await using world = await openWorld(`[aliases]\n"sh" = "${served.host}/shell"\n`);
    const file = join(world.path, "registries.conf");
    const { images } = world.runtime;
    await images.pull("sh:1", {});
    await writeFile(file, "[aliases");
    expect((await images.pull("sh:1", {})).canonical).toContain(served.host);
    expect(new Set(world.warnings)).toEqual(
      new Set(["registries.conf: what was read before stays in force"]),
    );
    await world.reboot();
    await expect(world.runtime.images.pull(served.name, {})).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CONFIG",
      message: expect.stringContaining(`${file}:1`),
    });
    expect((await world.runtime.images.imageStatus(served.name))?.names).toEqual([served.name]);
    expect(await world.runtime.images.imageStatus("sh:1")).toBeUndefined();
  });
});

function search(...served: readonly ServedImage[]): string {
  return `unqualified-search-registries = ${JSON.stringify(served.map(({ host }) => host))}\n`;
}

function openWorld(text: string, changes: Partial<RuntimeOptions> = {}): Promise<RuntimeWorld> {
  return openRuntimeWorld(changes, text);
}
