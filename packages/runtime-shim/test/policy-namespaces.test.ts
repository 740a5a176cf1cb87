import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { copyBetween } from "@stowage/runtime-shim";
import { describe, expect, test } from "vitest";

import { createScratch } from "./support/host-root.ts";
import { openRuntimeWorld, type RuntimeWorld } from "./support/runtime-world.ts";
import { serveShellImage } from "./support/served-image.ts";

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];
const REJECTED = { code: "ERR_POLICY_REJECTED" };

describe("P13 a namespace with a policy of its own", () => {
  test("is asked when a pull is on its behalf, and only then", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT });
    const { images } = world.runtime;
    const pullFor = (policyNamespace: string): Promise<unknown> =>
      images.pull(served.name, { source: { policyNamespace, tlsVerify: false } });
    await expect(pullFor("strict")).rejects.toMatchObject({
      ...REJECTED,
      message: expect.stringContaining(join(world.tenants, "strict.json")),
    });
    expect(await images.listImages()).toEqual([]);
    await pullFor("other");
    await images.pull(served.name);
    expect(world.warnings).toEqual([]);
  });

  test("may allow what the policy of all does not", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ lax: ACCEPT }, REJECT);
    const { images } = world.runtime;
    await expect(images.pull(served.name)).rejects.toMatchObject(REJECTED);
    await images.pull(served.name, { source: { policyNamespace: "lax" } });
    await expect(images.requireAllowed(served.name)).rejects.toMatchObject(REJECTED);
    await images.requireAllowed(served.name, { source: { policyNamespace: "lax" } });
  });

  test("pulls for itself alone, while another pulls the same image", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT });
    const { images } = world.runtime;
    const outcomes = await Promise.allSettled([
      images.pull(served.name),
      images.pull(served.name, { source: { policyNamespace: "strict" } }),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("R19, V86 is asked when a container of its pods is made, by the image in the store", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT });
    const { runtime } = world;
    await runtime.images.pull(served.name);
    for (const namespace of ["strict", "other", undefined]) {
      const podName = `pod-${namespace}`;
      const { id: podId } = await runtime.createPodSandbox({ podName, namespace });
      const container = { podId, containerName: `in-${podName}`, imageName: served.name };
      if (namespace === "strict") {
        await expect(runtime.createContainer(container)).rejects.toMatchObject(REJECTED);
      } else {
        await runtime.createContainer(container);
      }
    }
    expect(await runtime.pods.listContainers()).toHaveLength(5);
  });

  test("is asked about the image of its pods themselves, before it is pulled", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT });
    const { runtime } = world;
    const pod = { podName: "pod", namespace: "strict", imageName: served.name };
    await expect(runtime.createPodSandbox(pod)).rejects.toMatchObject(REJECTED);
    expect(await runtime.images.listImages()).toEqual([]);
    expect(await runtime.pods.listPods()).toEqual([]);
  });

  test("is asked when a policy is explained, of a registry, of the store and of a folder", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT });
    const { runtime, options, path, tenants } = world;
    await runtime.images.pull(served.name);
    const folder = join(path, "folder");
    const from = { transport: "store", image: served.name } as const;
    await copyBetween(from, { transport: "dir", path: folder }, options);
    for (const [image, local] of [
      [served.name, false],
      [served.name, true],
      [`dir:${folder}`, false],
    ] as const) {
      const verdict = await runtime.explainPolicy(image, {
        local,
        source: { policyNamespace: "strict" },
      });
      expect(verdict).toMatchObject({ allowed: false, file: join(tenants, "strict.json") });
      expect((await runtime.explainPolicy(image, { local })).allowed).toBe(true);
    }
  });

  test("is that of the runtime, where nobody says another", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({ strict: REJECT }, ACCEPT, "strict");
    const { runtime } = world;
    await expect(runtime.images.pull(served.name)).rejects.toMatchObject(REJECTED);
    await runtime.images.pull(served.name, { source: { policyNamespace: "other" } });
    await runtime.createPodSandbox({ podName: "pod" });
    const container = { podId: "pod", containerName: "app", imageName: served.name };
    await expect(runtime.createContainer(container)).rejects.toMatchObject(REJECTED);
  });

  test("is never passed over: a bad name, a broken file and no directory refuse", async () => {
    await using served = await serveShellImage();
    await using world = await openTenants({});
    const { images } = world.runtime;
    await symlink("/nowhere", join(world.tenants, "dangling.json"));
    await mkdir(join(world.tenants, "folder.json"));
    const pullFor = (policyNamespace: string): Promise<unknown> =>
      images.pull(served.name, { source: { policyNamespace } });
    for (const [name, code] of [
      ["../policy", "ERR_POLICY_INVALID_ARGUMENT"],
      ["", "ERR_POLICY_INVALID_ARGUMENT"],
      ["dangling", "ERR_POLICY_UNREADABLE"],
      ["folder", "ERR_POLICY_UNREADABLE"],
    ] as const) {
      await expect(pullFor(name)).rejects.toMatchObject({ code });
    }
    await using plain = await openRuntimeWorld();
    const source = { policyNamespace: "team" };
    await expect(plain.runtime.images.pull(served.name, { source })).rejects.toMatchObject({
      code: "ERR_RUNTIME_NO_POLICY_DIRECTORY",
      kind: "InvalidArgument",
    });
    await plain.runtime.createPodSandbox({ podName: "pod", namespace: "team" });
  });

  test("and a directory that is not there are told apart from one that has no policy", async () => {
    await using served = await serveShellImage();
    await using world = await openRuntimeWorld({ policyDirectory: "/nowhere/tenants" });
    const source = { policyNamespace: "team" };
    await world.runtime.images.pull(served.name, { source });
    expect(world.warnings).toEqual([expect.stringMatching(/^\/nowhere\/tenants: is not there/)]);
  });
});

interface TenantsWorld extends RuntimeWorld {
  /** The folder of the policies. */
  readonly tenants: string;
}

/** A runtime with policies of namespaces beside the policy of all. */
async function openTenants(
  policies: Readonly<Record<string, readonly object[]>>,
  all: readonly object[] = ACCEPT,
  policyNamespace?: string,
): Promise<TenantsWorld> {
  const scratch = await createScratch();
  const { path: tenants } = scratch;
  const world = await openRuntimeWorld({ policyNamespace, policyDirectory: tenants });
  await writeFile(join(world.path, "policy.json"), JSON.stringify({ default: all }));
  for (const [name, requirements] of Object.entries(policies)) {
    await writeFile(join(tenants, `${name}.json`), JSON.stringify({ default: requirements }));
  }
  return {
    ...world,
    tenants,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await scratch[Symbol.asyncDispose]();
    },
  };
}
