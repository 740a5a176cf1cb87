import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { copyBetween } from "@stowage/runtime-shim";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  CAN_SIGN,
  openSigningSite,
  openSigningWorld,
  repositoryOf,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

const ACCEPT = { type: "insecureAcceptAnything" };

describe.runIf(CAN_SIGN)(`images that skopeo signed with gpg${WHY_NOT}`, () => {
  let site: SigningSite;

  beforeAll(async () => {
    site = await openSigningSite();
  });

  afterAll(() => site[Symbol.asyncDispose]());

  test("R19 are pulled by whoever asks for that key, by their tag and by their digest", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    const { images } = world.runtime.runtime;
    const { canonical } = await images.pull(name);
    expect(canonical).toBe(`${repositoryOf(name)}@${world.image.descriptor.digest}`);
    expect((await images.pull(canonical)).canonical).toBe(canonical);
  });

  test("R19 by another, under another name or not at all are refused, and leave nothing", async () => {
    await using world = await openSigningWorld(site);
    const other = await world.keyring.makeKey("other");
    const unsigned = await world.push("team/unsigned:1");
    const byOther = await world.push("team/other:1", "--sign-by", other);
    await world.push("team/app:1", "--sign-by", world.signer);
    const moved = await world.push("team/app:2");
    for (const [name, words] of [
      [unsigned, /there is none in http/],
      [byOther, new RegExp(other.slice(-16))],
      [moved, /team\/app:1, which matchRepoDigestOrExact does not accept/],
    ] as const) {
      await expect(world.runtime.runtime.images.pull(name)).rejects.toMatchObject({
        code: "ERR_POLICY_REJECTED",
        message: expect.stringMatching(words),
        hint: expect.any(String),
      });
    }
    const { path } = world.runtime;
    expect(await world.runtime.runtime.images.listImages()).toEqual([]);
    expect(await readdir(join(path, "root/blobs/sha256"))).toEqual([]);
    expect(await readdir(join(path, "root/layers"))).toEqual([]);
  });

  test("R19 by standalone-sign are as good", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1");
    const manifest = join(world.path, "manifest.json");
    await writeFile(manifest, world.image.manifest);
    const output = join(world.path, "signature-1");
    await world.skopeo("standalone-sign", "--output", output, manifest, name, world.signer);
    const [algorithm, hex] = world.image.descriptor.digest.split(":");
    const repository = name.slice(world.host.length + 1, -":1".length);
    const folder = join(world.path, "local", `${repository}@${algorithm}=${hex}`);
    await mkdir(folder, { recursive: true });
    await rename(output, join(folder, "signature-1"));
    await world.setRegistriesD({ lookaside: `file://${join(world.path, "local")}` });
    expect((await world.runtime.runtime.images.pull(name)).name).toBe(name);
  });

  test("R19, V86 a container of an image that a stricter policy refuses is not made", async () => {
    await using world = await openSigningWorld(site);
    const { runtime } = world.runtime;
    await world.setPolicy(ACCEPT);
    const name = await world.push("team/app:1");
    await runtime.images.pull(name);
    await createFrom(world, name, "lax");
    await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath });
    await expect(createFrom(world, name, "strict")).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining("the signatures kept with the image"),
    });
    const { names } = await runtime.pods.containerStatus("lax");
    expect(names).toContain("lax");
    await expect(runtime.pods.containerStatus("strict")).rejects.toMatchObject({
      kind: "ContainerNotFound",
    });
  });

  test("R19, V86 a container is judged by what was kept, when neither registry nor lookaside is", async () => {
    await using world = await openSigningWorld(site);
    await world.setPolicy(ACCEPT);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    await world.runtime.runtime.images.pull(name);
    await rm(world.lookaside, { recursive: true });
    world.status = 500;
    world.asked.length = 0;
    await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath });
    await createFrom(world, name, "app");
    const other = join(world.path, "other.asc");
    await writeFile(other, await world.keyring.exportKey(await world.keyring.makeKey("other")));
    await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: other });
    await expect(createFrom(world, name, "other")).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
    expect(world.asked).toEqual([]);
  });

  test("V86 a name that an image is given later is not the name it was signed for", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    const { images } = world.runtime.runtime;
    await images.pull(name);
    const other = name.replace("team/app", "team/other");
    await images.tag(name, other);
    await expect(createFrom(world, other, "other")).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
    await createFrom(world, name, "app");
  });

  test("V85 through a mirror are judged by their own name, by signatures of the mirror's", async () => {
    const conf = join(site.keyring.path, "registries.conf");
    await using world = await openSigningWorld(site, { registriesConf: conf });
    const { images } = world.runtime.runtime;
    const mirrored = await world.push("team/app:1", "--sign-by", world.signer);
    const folder = mirrored.slice(0, -"/team/app:1".length);
    await writeFile(
      conf,
      `[[registry]]\nprefix = "vendor.example.com"\nlocation = "vendor.example.com"\n[[registry.mirror]]\nlocation = "${folder}"\ninsecure = true\n`,
    );
    const name = "vendor.example.com/team/app:1";
    await expect(images.pull(name)).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining(`it is for the name ${mirrored}`),
    });
    expect(world.asked[0]).toContain(`${folder.slice(world.host.length)}/team/app@sha256=`);
    const signedIdentity = {
      type: "remapIdentity",
      prefix: "vendor.example.com",
      signedPrefix: folder,
    };
    await world.setPolicy({
      type: "signedBy",
      keyType: "GPGKeys",
      keyPath: site.keyPath,
      signedIdentity,
    });
    expect((await images.pull(name)).name).toBe(name);
  });

  test("POL-X13, S17 a lookaside that cannot be read fails every pull, and is not taken for empty", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    world.status = 403;
    const { images } = world.runtime.runtime;
    const unavailable = { code: "ERR_POLICY_SIGNATURES_UNAVAILABLE", kind: "RegistryUnavailable" };
    await expect(images.pull(name)).rejects.toMatchObject(unavailable);
    await world.setPolicy(ACCEPT);
    await expect(images.pull(name)).rejects.toMatchObject(unavailable);
    expect(await images.listImages()).toEqual([]);
  });

  test("S17 a lookaside that sends on is followed to HTTP, and never to a file or for ever", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    const { images } = world.runtime.runtime;
    world.redirect = "/moved";
    await images.pull(name);
    expect(world.asked.filter((path) => path.startsWith("/moved/"))).not.toEqual([]);
    const unavailable = { code: "ERR_POLICY_SIGNATURES_UNAVAILABLE" };
    world.redirect = `file://${world.lookaside}`;
    await expect(images.pull(name)).rejects.toMatchObject(unavailable);
    world.redirect = "/again";
    world.asked.length = 0;
    await expect(images.pull(name)).rejects.toMatchObject(unavailable);
    expect(world.asked).toHaveLength(6);
  });

  test("POL-X14 whoever keeps no signatures needs none that nobody asks for", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    world.status = 403;
    await world.setPolicy(ACCEPT);
    const source = { keepSignatures: false, tlsVerify: false };
    await world.runtime.runtime.images.pull(name, { source });
    expect(world.asked).toEqual([]);
    await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath });
    await expect(createFrom(world, name, "app")).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
    });
  });

  test("R19 come into the store from a folder of skopeo's with the signatures that lie there", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    const folder = join(world.path, "folder");
    const places = ["--registries.d", join(world.path, "registries.d"), "--insecure-policy"];
    const from = ["-q", "--src-tls-verify=false", `docker://${name}`];
    await world.skopeo(...places, "copy", ...from, `dir:${folder}`);
    expect(await readdir(folder)).toContain("signature-1");
    world.asked.length = 0;
    const copyTo = (image: string): Promise<unknown> =>
      copyBetween(
        { transport: "dir", path: folder },
        { transport: "store", image },
        world.runtime.options,
      );
    await expect(copyTo(name.replace("team/app", "team/other"))).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining("matchRepoDigestOrExact does not accept"),
    });
    await copyTo(name);
    // What is kept with it is enough for a container, when nothing else is there any more.
    await rm(folder, { recursive: true });
    await createFrom(world, name, "app");
    expect(world.asked).toEqual([]);
  });

  test("R19 come into the store from a folder only with signatures that are there and can be read", async () => {
    await using world = await openSigningWorld(site);
    const name = await world.push("team/app:1", "--sign-by", world.signer);
    const folder = join(world.path, "folder");
    const from = ["-q", "--src-tls-verify=false", `docker://${name}`];
    await world.skopeo(
      "--insecure-policy",
      "copy",
      "--remove-signatures",
      ...from,
      `dir:${folder}`,
    );
    const copy = (): Promise<unknown> =>
      copyBetween(
        { transport: "dir", path: folder },
        { transport: "store", image: name },
        world.runtime.options,
      );
    await expect(copy()).rejects.toMatchObject({
      code: "ERR_POLICY_REJECTED",
      message: expect.stringContaining(`the signatures that dir:${folder} keeps`),
    });
    await writeFile(join(folder, "signature-1"), "no signature");
    await expect(copy()).rejects.toMatchObject({ code: "ERR_POLICY_SIGNATURE_INVALID" });
    expect(await world.runtime.runtime.images.listImages()).toEqual([]);
  });

  test("audit lets the image in, and tells what would have been denied", async () => {
    await using world = await openSigningWorld(site);
    const required = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
    await world.setPolicy({ type: "audit", requirements: [required] });
    await world.runtime.runtime.images.pull(await world.push("team/app:1"));
    expect(world.runtime.warnings).toEqual([
      expect.stringMatching(
        /team\/app:1: signedBy: a GPG signature is required.*\. The policy only reports that \(audit\)/,
      ),
    ]);
  });
});

async function createFrom(world: SigningWorld, imageName: string, name: string): Promise<void> {
  const { runtime } = world.runtime;
  const pods = await runtime.pods.listPods();
  if (pods.length === 0) await runtime.createPodSandbox({ podName: "pod" });
  const run = { command: ["/hello"] };
  await runtime.createContainer({ podId: "pod", containerName: name, imageName, run });
}
