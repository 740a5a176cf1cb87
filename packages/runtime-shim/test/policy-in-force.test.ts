import { readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createRuntime, type Runtime } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const ACCEPT = { type: "insecureAcceptAnything" };
const REJECT = { type: "reject" };

describe("V88 a policy older than the last one", () => {
  test("is told to whoever opens the store later, and is in force all the same", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await writePolicy(world, "policy.json", { default: [REJECT] }, "2026-02-02");
    await expect(world.runtime.images.pull(served.name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2026-01-01");
    const warnings = await inAnother(world, async ({ images }) => {
      await images.pull(served.name);
    });
    expect(warnings).toEqual([
      expect.stringMatching(
        /policy\.json: was written at 2026-01-01.*before the policy of 2026-02-02.*touch it/,
      ),
    ]);
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2026-03-03");
    const pull = async ({ images }: Runtime): Promise<unknown> => images.pull(served.name);
    expect(await inAnother(world, pull)).toEqual([]);
  });

  test("is told when it is only explained, and an explained one is not the last", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const explain = async (runtime: Runtime): Promise<unknown> =>
      runtime.explainPolicy(served.name);
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2026-02-02");
    expect(await inAnother(world, explain)).toEqual([]);
    expect(await readdir(join(world.options.root, "marks"))).toEqual([]);
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2026-01-01");
    await inAnother(world, ({ images }) => images.pull(served.name));
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2025-01-01");
    expect(await inAnother(world, explain)).toEqual([expect.stringContaining("2026-01-01")]);
  });

  test("is not told of others than that file's, nor for ever after a clock was wrong", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const pull = async ({ images }: Runtime): Promise<unknown> => images.pull(served.name);
    await writePolicy(world, "policy.json", { default: [ACCEPT] }, "2099-01-01");
    await inAnother(world, pull);
    await writePolicy(world, "other.json", { default: [ACCEPT] }, "2026-01-01");
    const policyPath = join(world.path, "other.json");
    expect(await inAnother(world, pull, { policyPath })).toEqual([]);
    await writePolicy(world, "policy.json", { default: [ACCEPT] });
    expect(await inAnother(world, pull)).toEqual([]);
  });

  test("is nobody's business where the store forgot: the image comes, and that is told", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const marks = join(world.options.root, "marks");
    await rm(marks, { recursive: true });
    await writeFile(marks, "");
    await world.runtime.images.pull(served.name);
    expect(world.warnings).toEqual([
      expect.stringContaining("whether a newer policy was in force"),
    ]);
    await rm(marks);
  });
});

describe("P05, S06 a key that is none", () => {
  const NONE = { type: "signedBy", keyType: "GPGKeys", keyPath: "/nowhere/a.asc" };
  const docker = { "q.io/a": [{ type: "anyOf", requirements: [NONE, REJECT] }], "q.io/b": [NONE] };

  test("is told when the policy is loaded for another image, once, and refuses only its own", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    await writePolicy(world, "policy.json", { default: [ACCEPT], transports: { docker } });
    const told = [
      String.raw`"q\.io/a"\]\[0\]\.requirements\[0\]`,
      String.raw`"q\.io/b"\]\[0\]`,
    ].map((path) =>
      expect.stringMatching(
        new RegExp(`policy\\.json, line 1: .*${path}: /nowhere/a\\.asc is not there\\. Until`),
      ),
    );
    const { images } = world.runtime;
    await images.pull(served.name);
    await images.pull(served.name);
    expect(world.warnings).toEqual(told);
    await images.tag(served.name, "q.io/b:1");
    await expect(images.requireAllowed("q.io/b:1")).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_KEY",
      kind: "PolicyConfigInvalid",
    });
    await writePolicy(world, "policy.json", { default: [ACCEPT], transports: { docker: {} } });
    await images.pull(served.name);
    expect(world.warnings).toHaveLength(2);
  });

  test("is told once: by the refusal of an image of its scope, and by warnings of all others", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld();
    const { images } = world.runtime;
    const [host = ""] = served.name.split("/");
    const broken = { [host]: [{ type: "anyOf", requirements: [REJECT, NONE] }], "q.io/b": [NONE] };
    await writePolicy(world, "policy.json", { default: [REJECT], transports: { docker: broken } });
    await expect(images.pull(served.name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining("/nowhere/a.asc is not there"),
    });
    expect(world.warnings).toEqual([expect.stringContaining('"q.io/b"')]);
    // What refuses is another requirement, which says nothing of the key.
    const hidden = { [host]: [REJECT, NONE] };
    await writePolicy(world, "policy.json", { default: [REJECT], transports: { docker: hidden } });
    await expect(images.pull(served.name)).rejects.toMatchObject({ code: "ERR_POLICY_REJECTED" });
    expect(world.warnings.slice(1)).toEqual([expect.stringContaining(`"${host}"][1]: /nowhere`)]);
  });
});

async function writePolicy(
  { path }: RuntimeWorld,
  name: string,
  policy: object,
  written?: string,
): Promise<void> {
  await writeFile(join(path, name), JSON.stringify(policy));
  if (written === undefined) return;
  await utimes(join(path, name), new Date(written), new Date(written));
}

/** What a runtime that remembers nothing warns of while it does something with the same store. */
async function inAnother(
  { options }: RuntimeWorld,
  action: (runtime: Runtime) => Promise<unknown>,
  changes: { readonly policyPath?: string } = {},
): Promise<readonly string[]> {
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  await using runtime = await createRuntime({ ...options, ...changes, onWarning });
  await action(runtime);
  return warnings;
}
