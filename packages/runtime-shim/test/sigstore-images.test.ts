import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { copyBetween, type CopyLocation, parseCopyLocation } from "@stowage/runtime-shim";
import { buildIndex, writeOciLayout } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  attachBundle,
  attachSignature,
  type ImageSigner,
  makeImageSigner,
} from "./support/sigstore-attach.ts";
import {
  CAN_SIGN,
  mirrorConf,
  openSigningSite,
  openSigningWorld,
  repositoryOf,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

describe.runIf(CAN_SIGN)(`images that are signed beside them, in docker-registry${WHY_NOT}`, () => {
  let site: SigningSite;
  let key: ImageSigner;

  beforeAll(async () => {
    site = await openSigningSite();
    key = await makeImageSigner(site.keyring.path, "cosign");
  });

  afterAll(() => site[Symbol.asyncDispose]());

  async function openWorld(attachments = true): Promise<SigningWorld> {
    const world = await openSigningWorld(site);
    await world.setRegistriesD({ "use-sigstore-attachments": attachments });
    await world.setPolicy({ type: "sigstoreSigned", keyPath: key.path });
    return world;
  }

  async function pushSigned(world: SigningWorld, name: string): Promise<string> {
    const full = await world.push(name);
    await attachSignature(full, site.image.descriptor, key);
    return full;
  }

  test("POL-X01 unsigned ones are refused", async () => {
    await using world = await openWorld();
    const name = await world.push("team/app:1");
    await expect(world.runtime.runtime.images.pull(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining("a sigstore signature is required, and there is none"),
    });
  });

  test("POL-X03 are pulled by their tag and by their digest", async () => {
    await using world = await openWorld();
    const name = await pushSigned(world, "team/app:1");
    const { canonical } = await world.runtime.runtime.images.pull(name);
    await world.runtime.runtime.images.pull(canonical);
  });

  test.for(["signature", "bundle"] as const)(
    "V85 through a mirror are judged by the %s that lies there, when nothing else can be reached",
    async (kind) => {
      const conf = join(site.keyring.path, "registries.conf");
      await using world = await openSigningWorld(site, { registriesConf: conf });
      await world.setRegistriesD({ "use-sigstore-attachments": true });
      const signedIdentity = { type: "matchRepository" };
      await world.setPolicy(
        kind === "bundle"
          ? { type: "sigstoreBundle", keyPath: key.path }
          : { type: "sigstoreSigned", keyPath: key.path, signedIdentity },
      );
      const { images } = world.runtime.runtime;
      const name = "vendor.invalid/team/app:1";
      const mirrored = await world.push("team/app:1");
      const location = mirrored.slice(0, -"/team/app:1".length);
      await writeFile(conf, mirrorConf(location));
      await expect(images.pull(name)).rejects.toMatchObject({ code: "ERR_POLICY_REJECTED" });
      const { descriptor } = site.image;
      if (kind === "bundle") await attachBundle(mirrored, descriptor, key);
      else await attachSignature(mirrored, descriptor, key, "vendor.invalid/team/app");
      expect((await images.pull(name)).name).toBe(name);
    },
  );

  test.for([
    ["oci", "signature"],
    ["oci-archive", "signature"],
    ["oci", "bundle"],
  ] as const)("come into the store from %s: with the %s that was copied along", async (row) => {
    const [transport, kind] = row;
    await using world = await openWorld();
    const name = await world.push("team/app:1");
    if (kind === "signature") await attachSignature(name, site.image.descriptor, key);
    else {
      await attachBundle(name, site.image.descriptor, key);
      await world.setPolicy({ type: "sigstoreBundle", keyPath: key.path });
    }
    const { options } = world.runtime;
    const registry = parseCopyLocation(`docker://${name}`);
    const store = parseCopyLocation(`store:${name}`);
    const place = (path: string): CopyLocation => ({
      transport,
      path: join(world.path, path),
      name: "it",
    });
    await copyBetween(registry, place("bare"), options);
    await expect(copyBetween(place("bare"), store, options)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
    await copyBetween(registry, place("whole"), { ...options, withReferrers: true });
    await copyBetween(place("whole"), store, options);
    expect(await world.runtime.runtime.images.listImages()).toMatchObject([{ names: [name] }]);
  });

  test("POL-X04, POL-X05 another tag of the same manifest needs matchRepository", async () => {
    await using world = await openWorld();
    await pushSigned(world, "team/app:1");
    const other = await world.push("team/app:2");
    const { images } = world.runtime.runtime;
    await expect(images.pull(other)).rejects.toMatchObject({ code: "ERR_POLICY_REJECTED" });
    const signedIdentity = { type: "matchRepository" };
    await world.setPolicy({ type: "sigstoreSigned", keyPath: key.path, signedIdentity });
    await images.pull(other);
  });

  test("POL-X06 signatures beside the image are not looked for unless registries.d says so", async () => {
    await using world = await openWorld(false);
    const name = await pushSigned(world, "team/app:1");
    await expect(world.runtime.runtime.images.pull(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      hint: expect.stringContaining("use-sigstore-attachments: true"),
    });
  });

  test("POL-X11, S21 of an index, the image that is chosen must be signed, and not the index", async () => {
    await using world = await openWorld();
    const index = buildIndex([site.image]);
    const layout = join(world.path, "index-layout");
    await writeOciLayout(layout, { app: index });
    const name = await pushSigned(world, "team/app:1");
    const repository = repositoryOf(name);
    const to = `docker://${repository}:all`;
    const copy = ["--insecure-policy", "copy", "-q", "--all", "--dest-tls-verify=false"];
    await site.skopeo(...copy, `oci:${layout}:app`, to);
    const signedIdentity = { type: "matchRepository" };
    await world.setPolicy({ type: "sigstoreSigned", keyPath: key.path, signedIdentity });
    await world.runtime.runtime.images.pull(`${repository}:all`);
    const other = world.host + `/other${repository.slice(world.host.length)}`;
    await site.skopeo(...copy, `oci:${layout}:app`, `docker://${other}:all`);
    await expect(world.runtime.runtime.images.pull(`${other}:all`)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
  });

  test("V86 are judged by what was kept when a container is made", async () => {
    await using world = await openWorld();
    const name = await pushSigned(world, "team/app:1");
    const { runtime } = world.runtime;
    await runtime.images.pull(name);
    await runtime.images.requireAllowed(name);
    const other = await makeImageSigner(world.path, "other");
    await world.setPolicy({ type: "sigstoreSigned", keyPath: other.path });
    await expect(runtime.images.requireAllowed(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
  });

  test("POL-X07, POL-X08 signed with cosign's bare name need matchRepository", async () => {
    await using world = await openWorld();
    const name = await world.push("team/app:1");
    await attachSignature(name, site.image.descriptor, key, repositoryOf(name));
    const { images } = world.runtime.runtime;
    await expect(images.pull(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      hint: expect.stringContaining("matchRepository"),
    });
    const signedIdentity = { type: "matchRepository" };
    await world.setPolicy({ type: "sigstoreSigned", keyPath: key.path, signedIdentity });
    await images.pull(name);
  });

  test("POL-X09 bundles are none for sigstoreSigned, and found by the fall-back tag for sigstoreBundle", async () => {
    await using world = await openWorld();
    const name = await world.push("team/app:1");
    await attachBundle(name, site.image.descriptor, key);
    const { runtime } = world.runtime;
    await expect(runtime.images.pull(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      hint: expect.stringContaining("sigstoreBundle"),
    });
    await world.setPolicy({ type: "sigstoreBundle", keyPath: key.path });
    await runtime.images.pull(name);
    await runtime.images.requireAllowed(name);
  });
});
