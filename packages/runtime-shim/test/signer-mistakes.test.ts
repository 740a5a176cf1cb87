import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { formatVerdict } from "@stowage/runtime-shim";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requirementOf } from "./support/follow-hint.ts";
import {
  attachBundle,
  attachSignature,
  type ImageSigner,
  makeImageSigner,
} from "./support/sigstore-attach.ts";
import {
  CAN_SIGN,
  openSigningSite,
  openSigningWorld,
  repositoryOf,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

/** A policy's scopes, by their names below the world's folder of the registry. */
type Scopes = Readonly<Record<string, readonly object[]>>;

describe.runIf(CAN_SIGN)(`what is said of a signer, done to the letter${WHY_NOT}`, () => {
  let site: SigningSite;
  let world: SigningWorld;
  let signed: string;
  let beside: string;
  let bundled: string;
  let copy: string;
  let sibling: string;
  let other: string;
  let cosign: ImageSigner;
  let stranger: ImageSigner;

  beforeAll(async () => {
    site = await openSigningSite();
    world = await openSigningWorld(site);
    const { descriptor } = site.image;
    cosign = await makeImageSigner(world.path, "cosign");
    stranger = await makeImageSigner(world.path, "stranger");
    other = await world.keyring.makeKey("other");
    await writeFile(join(world.path, "other.asc"), await world.keyring.exportKey(other));
    signed = await world.push("team/app:1", "--sign-by", world.signer);
    sibling = await world.push("copies/own:1", "--sign-by", world.signer);
    copy = await world.push("copies/app:1");
    beside = await world.push("team/beside:1");
    await attachSignature(beside, descriptor, cosign, repositoryOf(beside));
    bundled = await world.push("team/bundled:1");
    await attachBundle(bundled, descriptor, cosign);
    const [from, to] = [signed, copy].map((name) => {
      const path = repositoryOf(name).slice(world.host.length + 1);
      return join(world.lookaside, `${path}@${descriptor.digest.replace(":", "=")}`);
    });
    await cp(from ?? "", to ?? "", { recursive: true });
    await world.setRegistriesD({
      lookaside: `file://${world.lookaside}`,
      "use-sigstore-attachments": true,
    });
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const policyFile = (): string => join(world.path, "policy.json");
  const folder = (): string => repositoryOf(signed).replace("/team/app", "");

  async function write(scopes: Scopes, fallback: readonly object[] = [{ type: "reject" }]) {
    const docker = Object.fromEntries(
      Object.entries(scopes).map(([name, rules]) => [`${folder()}${name && `/${name}`}`, rules]),
    );
    const transports = Object.keys(scopes).length === 0 ? {} : { docker };
    await writeFile(policyFile(), JSON.stringify({ default: fallback, transports }));
  }

  async function readPolicy(): Promise<{ transports: { docker: Record<string, object[]> } }> {
    return JSON.parse(await readFile(policyFile(), "utf8"));
  }

  /** What a pull says, which an explanation says as well. */
  async function hintOf(name: string): Promise<string> {
    const { runtime } = world.runtime;
    const refusal = await runtime.images.pull(name).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "ERR_POLICY_REJECTED", hint: expect.any(String) });
    const { hint = "" } = refusal as { hint?: string };
    expect(formatVerdict(await runtime.explainPolicy(name))).toContain(hint);
    return hint;
  }

  /** Adds a key to a requirement as it is told, and pulls. */
  async function addKey(name: string, added: { readonly path: string; readonly data: string }) {
    const hint = await hintOf(name);
    expect(hint).toContain("if you trust its signer");
    const policy = await readPolicy();
    const requirement = requirementOf(policy, hint);
    const [, json, old] = /write ("\w+": \[.*?\]) in place of its "(\w+)"/.exec(hint) ?? [];
    const [, list = ""] = /add "(?:PATH|DATA)" to its "(\w+)"/.exec(hint) ?? [];
    const one = /DATA/.test(hint) ? added.data : added.path;
    if (json !== undefined && old !== undefined) {
      const text = json.replace(/"PATH"|"DATA"/, JSON.stringify(one));
      Object.assign(requirement, JSON.parse(`{${text.replace("OLD", String(requirement[old]))}}`));
      delete requirement[old];
    } else {
      (requirement[list] as string[]).push(one);
    }
    await writeFile(policyFile(), JSON.stringify(policy));
    await world.runtime.runtime.images.pull(name);
    return hint;
  }

  test.for(["keyPath", "keyPaths"] as const)("adds a key of gpg's beside a %s", async (field) => {
    const path = join(world.path, "other.asc");
    const rule = {
      type: "signedBy",
      keyType: "GPGKeys",
      [field]: field === "keyPath" ? path : [path],
    };
    await write({ team: [{ type: "insecureAcceptAnything" }, rule] });
    const hint = await addKey(signed, { path: world.keyPath, data: "" });
    expect(hint).toContain(`${policyFile()}, line 1, transports.docker["${folder()}/team"][1]: `);
    expect(hint).toContain(`gpg --armor --export ${world.signer.slice(-16)}`);
  });

  test("adds a key of gpg's to data, which may hold several", async () => {
    const data = async (...keys: string[]): Promise<string> =>
      Buffer.from(await world.keyring.run(["--export", ...keys])).toString("base64");
    const rule = { type: "signedBy", keyType: "GPGKeys" };
    await write({ team: [{ ...rule, keyData: await data(other) }] });
    const hint = await hintOf(signed);
    expect(hint).toContain(`transports.docker["${folder()}/team"][0]: `);
    expect(hint).toContain("the base64 of all keys in one");
    await write({ team: [{ ...rule, keyData: await data(other, world.signer) }] });
    await world.runtime.runtime.images.pull(signed);
  });

  test.for([
    ["sigstoreSigned", "keyPath"],
    ["sigstoreSigned", "keyPaths"],
    ["sigstoreSigned", "keyData"],
    ["sigstoreSigned", "keyDatas"],
    ["sigstoreBundle", "keyPath"],
    ["sigstoreBundle", "keyDatas"],
  ] as const)("adds a key to a %s beside a %s, also inside of others", async ([type, field]) => {
    const encode = async ({ path }: ImageSigner): Promise<string> =>
      (await readFile(path)).toString("base64");
    const known = field.startsWith("keyPath") ? stranger.path : await encode(stranger);
    const rule = {
      type,
      [field]: field.endsWith("s") ? [known] : known,
      ...(type === "sigstoreSigned" && { signedIdentity: { type: "matchRepository" } }),
    };
    const anyOf = { type: "anyOf", requirements: [{ type: "reject" }, rule] };
    await write({ team: [anyOf] });
    const name = type === "sigstoreSigned" ? beside : bundled;
    const hint = await addKey(name, { path: cosign.path, data: await encode(cosign) });
    expect(hint).toContain("[0].requirements[1]: ");
  });

  test("that a second requirement would do no good is true", async () => {
    const rule = { type: "signedBy", keyType: "GPGKeys" };
    const [ours, theirs] = [world.keyPath, join(world.path, "other.asc")];
    await write({ team: [{ ...rule, keyPath: theirs }] });
    expect(await hintOf(signed)).toContain("all of a scope have to be met");
    await write({
      team: [
        { ...rule, keyPath: theirs },
        { ...rule, keyPath: ours },
      ],
    });
    await hintOf(signed);
  });

  test.for([
    ["its folder", "copies"],
    ["all there is", ""],
  ] as const)(
    "has a copy come by a scope of its own beside that of %s, and no other go",
    async ([, scope]) => {
      const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
      const rules = [{ type: "anyOf", requirements: [{ type: "reject" }, gpg] }];
      await write({ [scope]: rules });
      const hint = await hintOf(copy);
      const [, entry] =
        /: add ("[^"]+": \[.*?\]\}\]) to transports\.docker in (\S+?)[;.]/.exec(hint) ?? [];
      const policy = await readPolicy();
      Object.assign(policy.transports.docker, JSON.parse(`{${entry}}`));
      await writeFile(policyFile(), JSON.stringify(policy));
      await world.runtime.runtime.images.pull(copy);
      await world.runtime.runtime.images.pull(sibling);
      const [, other] = /each tag by its own, .*?("signedIdentity": \{[^}]*\})/.exec(hint) ?? [];
      const text = JSON.stringify(policy).replace(/"signedIdentity":\{[^}]*\}/, other ?? "");
      await writeFile(policyFile(), text);
      await world.runtime.runtime.images.pull(copy);
      await world.runtime.runtime.images.pull(sibling);
    },
  );

  test("has a copy come that the default is for", async () => {
    const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
    await write({}, [gpg]);
    const hint = await hintOf(copy);
    const [, entry] = /: add ("docker": \{.*?\]\}) to "transports"/.exec(hint) ?? [];
    const transports = JSON.parse(`{${entry}}`);
    await writeFile(policyFile(), JSON.stringify({ default: [gpg], transports }));
    await world.runtime.runtime.images.pull(copy);
    await world.runtime.runtime.images.pull(sibling);
  });

  test("has a copy come by the scope that it has", async () => {
    const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
    await write({ "copies/app": [gpg] });
    const hint = await hintOf(copy);
    expect(hint).not.toContain("scope of its own");
    const [, entry] = /set ("signedIdentity": \{[^}]*\})/.exec(hint) ?? [];
    await write({ "copies/app": [{ ...gpg, ...JSON.parse(`{${entry}}`) }] });
    await world.runtime.runtime.images.pull(copy);
  });
});
