import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { buildIndex, hasPeer, writeOciLayout } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  attachBundle,
  attachSignature,
  type ImageSigner,
  makeImageSigner,
} from "./support/sigstore-attach.ts";
import {
  openSigningSite,
  openSigningWorld,
  type SigningSite,
  type SigningWorld,
} from "./support/signing-world.ts";

const PRESENT = ["docker-registry", "gpg", "skopeo"].every((name) => hasPeer(name));
const WHY_NOT = PRESENT ? "" : " (needs docker-registry, gpg and skopeo)";

describe.runIf(PRESENT)(`images that are signed beside them, in docker-registry${WHY_NOT}`, () => {
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
    const repository = name.slice(0, -":1".length);
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
    await attachSignature(name, site.image.descriptor, key, name.slice(0, -":1".length));
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

  test("come to the same as with skopeo, for generated policies", async () => {
    await using world = await openWorld();
    await world.setRegistriesD({ lookaside: `file://${world.lookaside}` });
    const signed = await world.push("team/app:1", "--sign-by", site.signer);
    const moved = await world.push("team/app:2");
    const unsigned = await world.push("team/none:1");
    const other = join(world.path, "other.asc");
    await writeFile(other, await site.keyring.exportKey(await site.keyring.makeKey("another")));
    const random = seeded(20_261_125);
    const host = world.host;
    const folder = signed.slice(0, -"/team/app:1".length);
    const requirements = [
      { type: "insecureAcceptAnything" },
      { type: "reject" },
      { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } },
      { type: "signedBy", keyType: "GPGKeys", keyPath: site.keyPath },
      { type: "signedBy", keyType: "X509Certificates", keyPath: site.keyPath },
      { type: "signedBy", keyType: "GPGKeys", keyPath: other },
    ];
    const identities = [
      undefined,
      { type: "matchExact" },
      { type: "matchRepository" },
      { type: "exactReference", dockerReference: signed },
      { type: "exactRepository", dockerRepository: `${folder}/team/app` },
      { type: "remapIdentity", prefix: `${folder}/team/none`, signedPrefix: `${folder}/team/app` },
    ];
    const scopes = [
      "",
      host,
      folder,
      `${folder}/team`,
      `${folder}/team/app`,
      signed,
      moved,
      `${folder}/te`,
    ];
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    const list = (): readonly object[] =>
      Array.from({ length: 1 + Math.floor(random() * 2) }, () => {
        const requirement = pick(requirements);
        if (requirement.type !== "signedBy") return requirement;
        return { ...requirement, signedIdentity: pick(identities) };
      });
    const outcomes = { allowed: 0, rejected: 0 };
    const rounds = Number(process.env["STOWAGE_POLICY_ROUNDS"] ?? 14);
    for (let round = 0; round < rounds; round += 1) {
      const docker = Object.fromEntries(
        Array.from({ length: 1 + Math.floor(random() * 3) }, () => [pick(scopes), list()]),
      );
      const policy = { default: list(), transports: { docker } };
      const path = join(world.path, "generated.json");
      await writeFile(path, JSON.stringify(policy));
      await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
      const digested = `${folder}/team/app@${site.image.descriptor.digest}`;
      const name = pick([signed, moved, unsigned, digested]);
      const theirs = await allowsWithSkopeo(world, path, name);
      const { allowed } = await world.runtime.runtime.explainPolicy(name);
      expect({ policy, name, allowed }).toEqual({ policy, name, allowed: theirs });
      outcomes[allowed ? "allowed" : "rejected"] += 1;
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(0);
  });
});

async function allowsWithSkopeo(
  world: SigningWorld,
  policy: string,
  name: string,
): Promise<boolean> {
  const registriesD = join(world.path, "registries.d");
  try {
    await world.skopeo(
      "--policy",
      policy,
      "--registries.d",
      registriesD,
      "copy",
      "-q",
      "--src-tls-verify=false",
      "--remove-signatures",
      `docker://${name}`,
      `dir:${join(world.path, "copied")}`,
    );
    return true;
  } catch (error) {
    if (/Source image rejected/.test(String(error))) return false;
    throw error;
  }
}

/** The same numbers for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
