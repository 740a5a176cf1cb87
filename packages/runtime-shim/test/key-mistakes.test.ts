import { mkdir, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";

import { checkPolicyFile, formatVerdict } from "@stowage/runtime-shim";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  CAN_SIGN,
  openSigningSite,
  openSigningWorld,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

describe.runIf(CAN_SIGN)(`what is said of a path of a key, done to the letter${WHY_NOT}`, () => {
  let site: SigningSite;
  let world: SigningWorld;
  let signed: string;

  beforeAll(async () => {
    site = await openSigningSite();
    world = await openSigningWorld(site);
    signed = await world.push("team/app:1", "--sign-by", world.signer);
    await mkdir(join(world.path, "none.d"));
    await writeFile(join(world.path, "garbage.asc"), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx");
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const trust = async (keyPath: string, inside = false): Promise<void> => {
    const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath };
    await world.setPolicy(
      inside ? { type: "anyOf", requirements: [{ type: "reject" }, gpg] } : gpg,
    );
  };

  const checked = async () =>
    (await checkPolicyFile({ path: join(world.path, "policy.json"), registriesDPath: world.path }))
      .problems;

  /** What a pull, an explanation and a check say of a path, which is the same, and no more. */
  async function toldOf(path: string): Promise<string> {
    await trust(path);
    const { runtime } = world.runtime;
    const verdict = await runtime.explainPolicy(signed);
    const { reason = "" } = verdict.requirements[0] ?? {};
    expect(formatVerdict(verdict)).toContain(reason);
    const refusal = await runtime.images.pull(signed).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "ERR_POLICY_INVALID_KEY",
      message: expect.stringContaining(`signedBy: ${reason})`),
      hint: expect.stringContaining(
        `in ${join(world.path, "policy.json")}, line 1, default[0].keyPath.`,
      ),
    });
    for (let cause = refusal; cause !== undefined; cause = (cause as Error).cause) {
      expect((cause as Error).message).toContain(reason);
    }
    expect((await checked()).filter(({ path }) => path === "default[0]")).toMatchObject([
      { severity: "error", line: 1, problem: reason },
    ]);
    await trust(path, true);
    expect((await checked()).filter(({ severity }) => severity === "error")).toMatchObject([
      { path: "default[0].requirements[1]", problem: reason },
    ]);
    expect(reason.startsWith(`${path} `)).toBe(true);
    return reason.slice(path.length + 1);
  }

  test("a URL", async () => {
    const told = await toldOf(`file://${world.keyPath}`);
    expect(told).toBe(`is not there: it is a URL, and no path: write ${world.keyPath}`);
    await trust(told.split(": write ")[1] ?? "");
    await world.runtime.runtime.images.pull(signed);
    expect(await toldOf("https://q.io/key.asc")).toBe(
      "is not there: it is a URL, and no path, and only files of this machine are read",
    );
  });

  test.for(["$HOME/key.asc", "${XDG_CONFIG_HOME}/key.asc", "/etc/$KEYS/key.asc"])(
    "an environment variable: %s",
    async (path) => {
      expect(await toldOf(path)).toBe(
        "is not there: environment variables stand for nothing in it: write the path in full",
      );
    },
  );

  test("a home", async () => {
    expect(await toldOf("~/key.asc")).toBe(
      "is not there: it is no absolute path, and ~ stands for nothing: write the path in full",
    );
  });

  test.for(["key.asc", "./key.asc", "../keys/key.asc"])("a relative path: %s", async (path) => {
    expect(await toldOf(path)).toBe(
      `is not there: it is no absolute path, and was looked for at ${resolve(path)}`,
    );
  });

  test("a folder, and files that are no keys, without what libraries say of them", async () => {
    expect(await toldOf(join(world.path, "none.d"))).toBe("is no plain file");
    expect(await toldOf(join(world.path, "garbage.asc"))).toBe(
      "holds no OpenPGP public key, but the beginning of one, without its end",
    );
    expect(await toldOf(join(world.keyPath, "key.asc"))).toBe("is not there");
  });

  test("what gpg writes that is no public key, each by what it is", async () => {
    const key = await world.keyring.exportKey(world.signer, "armored");
    const message = await world.keyring.sign(world.signer, "text");
    const detached = await world.keyring.run(["--detach-sign", "-u", world.signer], "text");
    const armored = await world.keyring.run(["--armor", "--sign", "-u", world.signer], "text");
    for (const [content, what] of [
      [key.subarray(0, -60), "the beginning of one, without its end"],
      [key.toString().replaceAll(/^(?=.)/gm, "  "), "one with blanks before its lines"],
      [key.toString("base64"), "one in base64"],
      [message, "a signature, or another message of OpenPGP"],
      [detached, "a signature, or another message of OpenPGP"],
      [armored, "a signature"],
      [
        world.signer,
        `the fingerprint or the ID of a key: \`gpg --export --armor ${world.signer}\``,
      ],
    ] as const) {
      const path = join(world.path, "given.asc");
      await writeFile(path, content);
      expect(await toldOf(path)).toContain(`holds no OpenPGP public key, but ${what}`);
    }
  });

  test("the name of a key, and a blank behind the path, as the words say", async () => {
    const told = await toldOf(world.signer);
    const command = /`gpg (--export --armor [0-9A-F]{40}) > FILE`/.exec(told)?.[1] ?? "";
    const path = join(world.path, "exported.asc");
    await writeFile(path, await world.keyring.run(command.split(" ")));
    await trust(`${path} `);
    const { runtime } = world.runtime;
    const refusal = (await runtime.images.pull(signed).catch((error: unknown) => error)) as Error;
    expect(refusal.message).toContain(`"${path} " is not there: its path ends in a blank`);
    const [, right = ""] = /: write "([^"]*)"/.exec(refusal.message) ?? [];
    await trust(right);
    await runtime.images.pull(signed);
  });

  test("a relative path that leads to a key from here is warned of by a check", async () => {
    const path = relative(process.cwd(), world.keyPath);
    await trust(path, true);
    await world.runtime.runtime.images.pull(signed);
    const [found, ...more] = (await checked()).filter(({ path }) => path.startsWith("default["));
    expect(more).toEqual([]);
    expect(found).toMatchObject({
      severity: "warning",
      path: "default[0].requirements[1].keyPath",
      problem: expect.stringContaining("no absolute path"),
    });
    const [, right = ""] = /^Write "(.*)", if that is meant/.exec(found?.remedy ?? "") ?? [];
    await trust(right, true);
    await world.runtime.runtime.images.pull(signed);
    expect((await checked()).filter(({ path }) => path.startsWith("default["))).toEqual([]);
  });
});
