import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { formatVerdict } from "@stowage/runtime-shim";
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

const ANY_TAG = { signedIdentity: { type: "matchRepository" } };

/** What is written where, and which image is asked for. */
interface Setting {
  readonly name: string;
  readonly scopes: Readonly<Record<string, readonly object[]>>;
  readonly registriesD?: Readonly<Record<string, unknown>>;
}

describe.runIf(CAN_SIGN)(`what is said of a mistake is enough to mend it${WHY_NOT}`, () => {
  let site: SigningSite;
  let world: SigningWorld;
  let cosign: ImageSigner;
  let conf: string;
  let lookaside: Readonly<Record<string, unknown>>;
  let signed: string;
  let moved: string;
  let beside: string;
  let bundled: string;
  let gpg: object;

  beforeAll(async () => {
    site = await openSigningSite();
    conf = join(site.keyring.path, "registries.conf");
    world = await openSigningWorld(site, { registriesConf: conf });
    await writeFile(conf, "");
    lookaside = { lookaside: `file://${world.lookaside}` };
    cosign = await makeImageSigner(world.path, "cosign");
    const { descriptor } = site.image;
    signed = await world.push("team/app:1", "--sign-by", world.signer);
    moved = await world.push("team/app:2");
    beside = await world.push("team/beside:1");
    await attachSignature(beside, descriptor, cosign, repositoryOf(beside));
    bundled = await world.push("team/bundled:1");
    await attachBundle(bundled, descriptor, cosign);
    gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  /** Both the explanation and the refusal of a pull say `words`; mended, the image comes. */
  async function expectEnough(wrong: Setting, words: string, right: Setting): Promise<void> {
    const { runtime } = world.runtime;
    await write(wrong);
    expect(formatVerdict(await runtime.explainPolicy(wrong.name))).toContain(words);
    const refusal = await runtime.images.pull(wrong.name).catch((error: unknown) => error);
    const { message = "", hint = "" } = refusal as { message?: string; hint?: string };
    expect(`${message}\n${hint}`).toContain(words);
    await write(right);
    await runtime.images.pull(right.name);
  }

  async function write({ scopes, registriesD = lookaside }: Setting): Promise<void> {
    const policy = { default: [{ type: "reject" }], transports: { docker: scopes } };
    await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
    await world.setRegistriesD(registriesD);
  }

  const gpgSigned = (scope = repositoryOf(signed), requirement = gpg): Setting => ({
    name: signed,
    scopes: { [scope]: [requirement] },
  });

  const sigstore = (name: string, requirement: object, attachments = true): Setting => ({
    name,
    scopes: { [repositoryOf(name)]: [requirement] },
    registriesD: { ...lookaside, "use-sigstore-attachments": attachments },
  });

  test("another's key", async () => {
    const keyPath = join(world.path, "mallory.asc");
    const mallory = await world.keyring.makeKey("mallory");
    await writeFile(keyPath, await world.keyring.exportKey(mallory));
    const wrong = gpgSigned(undefined, { ...gpg, keyPath });
    await expectEnough(wrong, `${mallory} of ${keyPath}`, gpgSigned());
    await expectEnough(wrong, `the OpenPGP key ${world.signer.slice(-16)}`, gpgSigned());
  });

  test("signatures beside the image that nobody is to look for", async () => {
    const requirement = { type: "sigstoreSigned", keyPath: cosign.path, ...ANY_TAG };
    const words = `docker: {"${repositoryOf(beside)}": {use-sigstore-attachments: true}} into a new file ${world.path}`;
    const wrong = sigstore(beside, requirement, false);
    await expectEnough(wrong, words, sigstore(beside, requirement));
  });

  test("a letter of a scope that is another", async () => {
    const scope = repositoryOf(signed).replace("team", "taem");
    await expectEnough(gpgSigned(scope), `"${scope}"`, gpgSigned());
    const words = `write "${repositoryOf(signed)}"`;
    await expectEnough(gpgSigned(scope), words, gpgSigned());
  });

  test.for([
    ["a slash too many", (name: string) => name.replace("/team", "//team")],
    ["a blank behind it", (name: string) => `${name} `],
    ["a letter too few in a short part", (name: string) => name.replace(/app$/, "ap")],
    [
      "another port and another letter",
      (name: string) => name.replace(/:\d+/, "").replace("team", "tem"),
    ],
    ["a tag that is another", (name: string) => `${name}:9`],
    ["a user and a password", (name: string) => `user:geheim@${name}`],
  ] as const)("a scope with %s", async ([, spoil]) => {
    const wrong = gpgSigned(spoil(repositoryOf(signed)));
    await expectEnough(wrong, `write "${repositoryOf(signed)}"`, gpgSigned());
  });

  test("a scope below another transport", async () => {
    const { runtime } = world.runtime;
    const scopes = { [repositoryOf(signed)]: [gpg] };
    for (const transport of ["Docker", "docker-daemon"]) {
      const policy = { default: [{ type: "reject" }], transports: { [transport]: scopes } };
      await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
      await expect(runtime.images.pull(signed)).rejects.toMatchObject({
        code: "ERR_POLICY_REJECTED",
        hint: expect.stringMatching(new RegExp(`"${transport}".*below "docker"`)),
      });
    }
    await write(gpgSigned());
    await runtime.images.pull(signed);
  });

  test("a registry without its port", async () => {
    const wrong = gpgSigned(world.host.split(":")[0]);
    await expectEnough(wrong, `write "${world.host}"`, gpgSigned(world.host));
  });

  test("a key file that is not there", async () => {
    const wrong = gpgSigned(undefined, { ...gpg, keyPath: "/nowhere/key.asc" });
    await expectEnough(wrong, "/nowhere/key.asc is not there", gpgSigned());
  });

  test("the private key in place of the public one", async () => {
    const keyPath = join(world.path, "secret.asc");
    const unlocked = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""];
    const secret = [...unlocked, "--armor", "--export-secret-keys", world.signer];
    await writeFile(keyPath, await world.keyring.run(secret));
    const wrong = gpgSigned(undefined, { ...gpg, keyPath });
    await expectEnough(wrong, "put its public half there, as gpg --armor --export", gpgSigned());
    const path = join(world.path, "cosign.key");
    await writeFile(path, cosign.privateKey.export({ format: "pem", type: "pkcs8" }));
    const requirement = { type: "sigstoreSigned", keyPath: path, ...ANY_TAG };
    await expectEnough(
      sigstore(beside, requirement),
      "put its public half there, as cosign public-key",
      sigstore(beside, { ...requirement, keyPath: cosign.path }),
    );
  });

  test("a key of the other kind", async () => {
    const wrong = gpgSigned(undefined, { ...gpg, keyPath: cosign.path });
    await expectEnough(wrong, "one in PEM: that is for sigstoreSigned", gpgSigned());
    const requirement = { type: "sigstoreSigned", keyPath: world.keyPath, ...ANY_TAG };
    await expectEnough(
      sigstore(beside, requirement),
      "one of OpenPGP: that is for signedBy",
      sigstore(beside, { ...requirement, keyPath: cosign.path }),
    );
  });

  test("a key file whose path begins at home", async () => {
    const wrong = gpgSigned(undefined, { ...gpg, keyPath: "~/key.asc" });
    await expectEnough(wrong, "it is no absolute path, and ~ stands for nothing", gpgSigned());
  });

  test("a digest that is asked for where only the tag that was signed counts", async () => {
    const name = `${repositoryOf(signed)}@${site.image.descriptor.digest}`;
    const signedIdentity = { type: "matchExact" };
    await expectEnough(
      { ...gpgSigned(undefined, { ...gpg, signedIdentity }), name },
      'set "signedIdentity": {"type": "matchRepoDigestOrExact"}',
      { ...gpgSigned(), name },
    );
  });

  test("a scope with a star for what is below it", async () => {
    const folder = signed.slice(0, -"/app:1".length);
    await expectEnough(gpgSigned(`${folder}/*`), `write "${folder}"`, gpgSigned(folder));
  });

  test.for([
    ["a comma too many", (text: string) => text.replace("]}}}", "],}}}"), "(line 1, column "],
    [
      "a field of another case",
      (text: string) => text.replace("keyPath", "keypath"),
      "write keyPath",
    ],
    [
      "a field that there is none of",
      (text: string) => text.replace("keyPath", "keyFile"),
      "keyPaths,",
    ],
  ] as const)("%s in the policy", async ([, spoil, words]) => {
    const { runtime } = world.runtime;
    await write(gpgSigned());
    const file = join(world.path, "policy.json");
    await writeFile(file, spoil(await readFile(file, "utf8")));
    const told = {
      code: "ERR_POLICY_INVALID_CONFIG",
      message: expect.stringContaining(words),
    };
    await expect(runtime.explainPolicy(signed)).rejects.toMatchObject(told);
    await expect(runtime.images.pull(signed)).rejects.toMatchObject(told);
    await write(gpgSigned());
    await runtime.images.pull(signed);
  });

  test("a tag that another was signed for", async () => {
    const wrong = { ...gpgSigned(), name: moved };
    const right = { ...gpgSigned(undefined, { ...gpg, ...ANY_TAG }), name: moved };
    await expectEnough(wrong, `it is for the name ${signed}`, right);
    await expectEnough(wrong, 'set "signedIdentity": {"type": "matchRepository"}', right);
  });

  test("cosign's name without a tag", async () => {
    const wrong = { type: "sigstoreSigned", keyPath: cosign.path };
    await expectEnough(
      sigstore(beside, wrong),
      '"signedIdentity": {"type": "matchRepository"}',
      sigstore(beside, { ...wrong, ...ANY_TAG }),
    );
  });

  test("a requirement of cosign 2 for what cosign 3 signed, and the other way round", async () => {
    const two = { type: "sigstoreSigned", keyPath: cosign.path, ...ANY_TAG };
    const three = { type: "sigstoreBundle", keyPath: cosign.path };
    await expectEnough(
      sigstore(bundled, two),
      '{"type": "sigstoreBundle", "keyPath": …}',
      sigstore(bundled, three),
    );
    await expectEnough(
      sigstore(beside, three),
      '{"type": "sigstoreSigned", "keyPath": …}',
      sigstore(beside, two),
    );
  });

  test("a trusted root that is not there", async () => {
    const identity = { issuer: "https://issuer.example.com", subject: "https://example.com/a" };
    const trustedRootPath = "/nowhere/trusted_root.json";
    await expectEnough(
      sigstore(bundled, { type: "sigstoreBundle", identity, trustedRootPath }),
      `${trustedRootPath} is not there`,
      sigstore(bundled, { type: "sigstoreBundle", keyPath: cosign.path }),
    );
  });

  test("a policy for the mirror's name", async () => {
    const name = "vendor.invalid/team/app:1";
    const folder = signed.slice(0, -"/team/app:1".length);
    await writeFile(conf, mirrorConf(folder));
    const signedIdentity = {
      type: "remapIdentity",
      prefix: "vendor.invalid",
      signedPrefix: folder,
    };
    await expectEnough({ ...gpgSigned(), name }, 'write "vendor.invalid/team/app"', {
      name,
      scopes: { "vendor.invalid/team/app": [{ ...gpg, signedIdentity }] },
    });
    await expectEnough(
      { name, scopes: { "vendor.invalid/team/app": [gpg] } },
      `set "signedIdentity": ${JSON.stringify(signedIdentity).replaceAll(/([:,])"/g, '$1 "')}`,
      { name, scopes: { "vendor.invalid/team/app": [{ ...gpg, signedIdentity }] } },
    );
    await writeFile(conf, "");
  });

  /** The lookaside decides: the words are `before`, and what they tell to write is enough. */
  /** What is said of a lookaside that is not found, as a pull and an explanation have it. */
  async function toldOf(text: string, ...words: readonly string[]): Promise<string> {
    await write(gpgSigned());
    const { runtime } = world.runtime;
    const folder = join(world.path, "registries.d");
    await writeFile(join(folder, "test.yaml"), text);
    const told = formatVerdict(await runtime.explainPolicy(signed));
    const refusal = await runtime.images.pull(signed).catch((error: unknown) => error);
    const { message = "", hint = "" } = refusal as { message?: string; hint?: string };
    const name = signed.slice(world.host.length + 1, -":1".length);
    const rest = `/${name}@${site.image.descriptor.digest.replace(":", "=")}/signature-1`;
    for (const word of [rest, ...words]) {
      expect(told).toContain(word);
      expect(`${message}\n${hint}`).toContain(word);
    }
    return hint.replace(rest, "REST");
  }

  async function expectLookaside(text: string, ...words: readonly string[]): Promise<void> {
    const { runtime } = world.runtime;
    const hint = await toldOf(text, ...words);
    expect(hint).toContain("URL is what stands before REST");
    const [, yaml, file] = /write (docker: .*) into a new file (\S+\.yaml)\./.exec(hint) ?? [];
    await writeFile(file ?? "", yaml?.replace("URL", `file://${world.lookaside}`) ?? "");
    await runtime.images.pull(signed);
    await rm(file ?? "");
  }

  test("no lookaside", async () => {
    const words = `the built-in default, since no file of ${join(world.path, "registries.d")}`;
    await expectLookaside("", words, `has a lookaside for ${repositoryOf(signed)}`);
  });

  test("a lookaside at the wrong place", async () => {
    const base = `file://${world.path}/elsewhere`;
    await expectLookaside(
      `docker:\n  "${world.host}":\n    lookaside: ${base}\n`,
      `none in ${base}/${repositoryOf(signed).slice(world.host.length + 1)}@sha256=`,
      `test.yaml, line 3, docker["${world.host}"].lookaside`,
    );
  });

  test("a lookaside of a registry without its port", async () => {
    const [host = ""] = world.host.split(":");
    const text = `docker:\n  "${host}": {lookaside: "file://${world.lookaside}"}\n`;
    const hint = await toldOf(
      text,
      `test.yaml, line 2, has docker["${host}"]`,
      `write docker["${world.host}"]`,
    );
    expect(hint).not.toMatch(/elsewhere|If there are none/);
    await write(gpgSigned());
    await writeFile(join(world.path, "registries.d/test.yaml"), text.replace(host, world.host));
    await world.runtime.runtime.images.pull(signed);
  });

  test("a lookaside in a file that nobody reads", async () => {
    await write(gpgSigned());
    const file = join(world.path, "registries.d/test.conf");
    await rename(join(world.path, "registries.d/test.yaml"), file);
    await expectLookaside("", `${file} is not read: its name does not end in .yaml`);
    await rename(file, join(world.path, "registries.d/test.yaml"));
    await world.runtime.runtime.images.pull(signed);
  });

  test("a lookaside that is no URL", async () => {
    await write({ ...gpgSigned(), registriesD: { lookaside: "/srv/signatures" } });
    const { runtime } = world.runtime;
    const file = join(world.path, "registries.d/test.yaml");
    const told = {
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: `${file}, line 1, docker["${world.host}"].lookaside: "/srv/signatures" can be no lookaside`,
      hint: expect.stringContaining("file:///srv/signatures"),
    };
    await expect(runtime.explainPolicy(signed)).rejects.toMatchObject(told);
    await expect(runtime.images.pull(signed)).rejects.toMatchObject(told);
  });
});
