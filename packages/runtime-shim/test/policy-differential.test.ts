import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { hasErrorCode } from "@stowage/content";
import { hasPeer } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  type PolicyOutcome,
  type PolicyPeer,
  podmanPeer,
  skopeoFilePeer,
  skopeoPeer,
} from "./support/policy-peers.ts";
import { attachSignature, type ImageSigner, makeImageSigner } from "./support/sigstore-attach.ts";
import {
  openSigningSite,
  openSigningWorld,
  type SigningSite,
  type SigningWorld,
} from "./support/signing-world.ts";

const PRESENT = ["docker-registry", "gpg", "podman", "skopeo"].every((name) => hasPeer(name));
const CAN_RUN = PRESENT && process.getuid?.() === 0;
const WHY_NOT = CAN_RUN ? "" : " (needs root, docker-registry, gpg, podman and skopeo)";
const ROUNDS = Number(process.env["STOWAGE_POLICY_ROUNDS"] ?? 16);
/** Podman is asked in one of so many rounds, since it takes several times as long; in none with 0. */
const PODMAN_EVERY = Number(process.env["STOWAGE_PODMAN_EVERY"] ?? 3);
const SEED = Number(process.env["STOWAGE_POLICY_SEED"] ?? 20_261_125);

describe.runIf(CAN_RUN)(`policies come to the same as with skopeo and podman${WHY_NOT}`, () => {
  let site: SigningSite;
  let cosign: ImageSigner;

  beforeAll(async () => {
    site = await openSigningSite();
    cosign = await makeImageSigner(site.keyring.path, "cosign");
  });

  afterAll(() => site[Symbol.asyncDispose]());

  test(`that are generated (seed ${SEED})`, async () => {
    await using world = await openSigningWorld(site);
    await world.setRegistriesD({
      lookaside: `file://${world.lookaside}`,
      "use-sigstore-attachments": true,
    });
    const peers = { skopeo: skopeoPeer(world), podman: await podmanPeer(world) };
    const generate = await openGenerator(world, cosign, peers.skopeo);
    const seen = new Map<PolicyOutcome, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const { policy, name } = generate();
      const path = join(world.path, "generated.json");
      await writeFile(path, policy);
      await writeFile(join(world.path, "policy.json"), policy);
      const outcome = await askStowage(world, name);
      const answers = { skopeo: await peers.skopeo(path, name), podman: outcome };
      if (round % PODMAN_EVERY === 0) answers.podman = await peers.podman(path, name);
      // Debian's were built without sigstore: that such a policy is one is all that they know of it.
      const theirs = Object.values(answers).map((answer) =>
        answer === "unknown" && outcome !== "invalid" ? outcome : answer,
      );
      expect({ round, policy, name, theirs }).toEqual({
        round,
        policy,
        name,
        theirs: [outcome, outcome],
      });
      if (answers.skopeo === "unknown") continue;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    expect([...seen.keys()].toSorted()).toEqual(["allowed", "invalid", "rejected"]);
  });

  test(`about images in files (seed ${SEED})`, async () => {
    await using world = await openSigningWorld(site);
    await world.setRegistriesD({ lookaside: `file://${world.lookaside}` });
    const generate = await openFileGenerator(world);
    const skopeo = skopeoFilePeer(world);
    const seen = new Map<PolicyOutcome, number>();
    for (let round = 0; round < 2 * ROUNDS; round += 1) {
      const { policy, name } = generate();
      const path = join(world.path, "generated.json");
      await writeFile(path, policy);
      await writeFile(join(world.path, "policy.json"), policy);
      const outcome = await askStowage(world, name);
      const theirs = await skopeo(path, name);
      expect({ round, policy, name, theirs }).toEqual({ round, policy, name, theirs: outcome });
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    expect([...seen.keys()].toSorted()).toEqual(["allowed", "invalid", "rejected"]);
  });
});

/** Images in files, one of them with a signature beside it, and policies about them. */
async function openFileGenerator(world: SigningWorld): Promise<() => Question> {
  const { path } = world;
  const layout = `oci:${join(world.keyring.path, "layout")}:app`;
  const folder = join(path, "files/deep");
  await mkdir(folder, { recursive: true });
  await symlink(folder, join(path, "link"));
  const copy = ["--insecure-policy", "copy", "-q"];
  const signed = await world.push("team/app:1", "--sign-by", world.signer);
  const registriesD = ["--registries.d", join(path, "registries.d")];
  const from = ["--src-tls-verify=false", `docker://${signed}`];
  await world.skopeo(...registriesD, ...copy, ...from, `dir:${join(folder, "signed")}`);
  await world.skopeo(...copy, layout, `dir:${join(folder, "plain")}`);
  await world.skopeo(...copy, layout, `oci:${join(folder, "layout")}:app`);
  await world.skopeo(...copy, layout, `oci-archive:${join(folder, "a.tar")}:app`);
  await world.skopeo(...copy, layout, `docker-archive:${join(folder, "b.tar")}:app:1`);
  const locations = [
    `dir:${folder}/signed`,
    `dir:${path}/link/signed`,
    `dir:${folder}/plain`,
    `oci:${folder}/layout:app`,
    `oci:${path}/link/layout:app`,
    `oci-archive:${folder}/a.tar:app`,
    `docker-archive:${folder}/b.tar`,
  ];
  const random = seeded(SEED);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const names = ["signed", "plain", "layout", "a.tar", "b.tar"].map((name) => join(folder, name));
  const paths = [...names, folder, join(path, "files"), path, join(path, "link"), "/tmp", "/", ""];
  const signer = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
  const reference = { type: "exactReference", dockerReference: signed };
  const requirements = [
    { type: "insecureAcceptAnything" },
    { type: "insecureAcceptAnything" },
    { type: "reject" },
    signer,
    { ...signer, signedIdentity: reference },
    { ...signer, signedIdentity: reference },
    { ...signer, signedIdentity: { type: "matchRepository" } },
  ];
  const scopes = (): object =>
    Object.fromEntries(
      Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
        pick(paths),
        [pick(requirements)],
      ]),
    );
  return () => {
    const transports = Object.fromEntries(
      ["dir", "oci", "oci-archive", "docker-archive", "docker", "containers-storage"]
        .filter(() => random() < 0.6)
        .map((name) => [
          name,
          name === "docker-archive" && random() < 0.9 ? { "": [pick(requirements)] } : scopes(),
        ]),
    );
    // What is no scope there makes it no policy at all: not too often, so that others are seen.
    if (random() < 0.9) delete transports["containers-storage"];
    const policy = JSON.stringify({ default: [pick(requirements)], transports });
    return {
      policy: random() < 0.7 ? policy.replaceAll('"/":', '"/tmp":') : policy,
      name: pick(locations),
    };
  };
}

async function askStowage(world: SigningWorld, name: string): Promise<PolicyOutcome> {
  try {
    const { allowed } = await world.runtime.runtime.explainPolicy(name);
    return allowed ? "allowed" : "rejected";
  } catch (error) {
    if (hasErrorCode(error, "ERR_POLICY_INVALID_CONFIG")) return "invalid";
    throw error;
  }
}

interface Question {
  readonly policy: string;
  readonly name: string;
}

/** Images signed by GPG, by cosign, by both and by nobody, and policies about them. */
async function openGenerator(
  world: SigningWorld,
  cosign: ImageSigner,
  skopeo: PolicyPeer,
): Promise<() => Question> {
  const { descriptor } = world.image;
  const signed = await world.push("team/app:1", "--sign-by", world.signer);
  const moved = await world.push("team/app:2");
  const unsigned = await world.push("team/none:1");
  const beside = await world.push("team/beside:1");
  await attachSignature(beside, descriptor, cosign);
  const bare = await world.push("team/bare:1");
  await attachSignature(bare, descriptor, cosign, bare.slice(0, -":1".length));
  const both = await world.push("other/both:1", "--sign-by", world.signer);
  await attachSignature(both, descriptor, cosign);
  const otherGpg = join(world.path, "other.asc");
  const other = await world.keyring.makeKey("another");
  await writeFile(otherGpg, await world.keyring.exportKey(other));
  const otherCosign = await makeImageSigner(world.path, "other");

  const random = seeded(SEED);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const { host } = world;
  const folder = signed.slice(0, -"/team/app:1".length);
  const digested = [signed, beside, both].map(
    (name) => `${name.slice(0, -2)}@${descriptor.digest}`,
  );
  const names = [signed, moved, unsigned, beside, bare, both, ...digested];
  const scopes = [
    "",
    host,
    host.split(":")[0] ?? "",
    "*.0.0.1",
    "*.1",
    folder,
    `${folder}/te`,
    `${folder}/team`,
    ...names,
    ...names.map((name) => name.replace(/(?:@sha256)?:[^:/]+$/, "")),
  ];
  const signer = (gpg: string, key: string) => [
    { type: "signedBy", keyType: "GPGKeys", keyPath: gpg },
    { type: "sigstoreSigned", keyPath: key },
  ];
  const keyed: object[] = [
    ...signer(world.keyPath, cosign.path),
    ...signer(world.keyPath, cosign.path).slice(0, 1),
    ...signer(world.keyPath, cosign.path).slice(0, 1),
    ...signer(otherGpg, otherCosign.path),
    ...signer(join(world.path, "none"), join(world.path, "none")),
    { type: "signedBy", keyType: "X509Certificates", keyPath: world.keyPath },
  ];
  const lists = [
    { type: "signedBy", keyType: "GPGKeys", keyPaths: [otherGpg, world.keyPath] },
    { type: "sigstoreSigned", keyPaths: [otherCosign.path, cosign.path] },
    { type: "sigstoreSigned", keyDatas: [await base64(cosign.path)] },
    { type: "sigstoreSigned", keyPath: cosign.path, rekorPublicKeyPath: otherCosign.path },
  ];
  const probe = join(world.path, "probe.json");
  await writeFile(probe, JSON.stringify({ default: lists }));
  // Older ones know no lists of keys.
  if ((await skopeo(probe, signed)) !== "invalid") keyed.push(...lists);
  const others = [
    { type: "insecureAcceptAnything" },
    { type: "reject" },
    { type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } },
  ];
  const identities = (): readonly object[] => [
    { type: "matchExact" },
    { type: "matchRepoDigestOrExact" },
    { type: "matchRepository" },
    { type: "exactReference", dockerReference: pick([signed, both, beside]) },
    { type: "exactRepository", dockerRepository: pick([signed, both, beside]).slice(0, -2) },
    {
      type: "remapIdentity",
      prefix: pick([folder, `${folder}/team/none`, `${folder}/te`, host]),
      signedPrefix: pick([folder, `${folder}/team/app`, "example.com/elsewhere"]),
    },
  ];
  const requirement = (): object => {
    if (random() < 0.3) return pick(others);
    const signedIdentity = random() < 0.3 ? undefined : pick(identities());
    return { ...pick(keyed), ...(signedIdentity && { signedIdentity }) };
  };
  const list = (): readonly object[] =>
    Array.from({ length: 1 + Math.floor(random() * 2) }, requirement);
  return () => {
    const chosen = Array.from({ length: 1 + Math.floor(random() * 4) }, () => [
      pick(scopes),
      list(),
    ]);
    const transports = {
      docker: Object.fromEntries(chosen),
      ...(random() < 0.2 && { dir: { "": [{ type: "reject" }] } }),
    };
    const text = JSON.stringify({
      default: list(),
      ...(random() < 0.9 && { transports }),
    });
    return { policy: random() < 0.2 ? broken(text, pick) : text, name: pick(names) };
  };
}

async function base64(path: string): Promise<string> {
  return (await readFile(path)).toString("base64");
}

/** The policy with something in it that may not be there; some of it may. */
function broken(text: string, pick: <T>(list: readonly T[]) => T): string {
  const parts = [...text.matchAll(/"[a-zA-Z]+":|"type":"[a-zA-Z]+"|\[\{|\{/g)];
  const part = pick(parts);
  const [found] = part;
  const before = text.slice(0, part.index);
  const after = text.slice(part.index + found.length);
  const change = pick([
    () => `${before}"more":1,${found}${after}`,
    () => `${before}${after}`,
    () => `${before}${found.toUpperCase()}${after}`,
    () => `${before}${found}null${after}`,
    () => text.replace(/\[\{.*?\}\]/, "[]"),
    () => text.replace(/"type":"(\w+)"/, '"type":"$1","type":"$1"'),
    () => text.replace(/"keyPath":"[^"]*"/, '"keyPath":1'),
    () => text.replace(/"keyPath":"[^"]*"/, '"keyData":"!"'),
    () => text.replace(/"keyPath":"[^"]*"/, '$&,"keyData":"YQ=="'),
    () => text.replace(/"signedIdentity":\{[^}]*\}/, '"signedIdentity":null'),
    () => `${text} `,
    () => `${text}x`,
    () => text.slice(0, -1),
  ]);
  return change();
}

/** The same numbers for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
