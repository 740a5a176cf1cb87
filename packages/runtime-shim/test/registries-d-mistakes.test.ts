import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { checkPolicyFile, formatVerdict } from "@stowage/runtime-shim";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { remediesOf } from "./support/follow-hint.ts";
import { attachSignature, type ImageSigner, makeImageSigner } from "./support/sigstore-attach.ts";
import {
  CAN_SIGN,
  openSigningSite,
  openSigningWorld,
  repositoryOf,
  type SigningSite,
  type SigningWorld,
  WHY_NOT,
} from "./support/signing-world.ts";

describe.runIf(CAN_SIGN)(`what is said of registries.d, done to the letter${WHY_NOT}`, () => {
  let site: SigningSite;
  let world: SigningWorld;
  let cosign: ImageSigner;
  let beside: string;
  let signed: string;

  beforeAll(async () => {
    site = await openSigningSite();
    world = await openSigningWorld(site);
    cosign = await makeImageSigner(world.path, "cosign");
    beside = await world.push("team/beside:1");
    signed = await world.push("team/app:1", "--sign-by", world.signer);
    await attachSignature(beside, site.image.descriptor, cosign, repositoryOf(beside));
  });

  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
  });

  const folder = (): string => join(world.path, "registries.d");

  /** Puts one file there and no other. */
  async function write(text: string, name = beside): Promise<void> {
    for (const file of await readdir(folder())) await rm(join(folder(), file));
    const [host = ""] = world.host.split(":");
    const words = {
      HOST: world.host,
      REPO: repositoryOf(name),
      BARE: host,
      IMAGE: name,
      ELSEWHERE: `file://${world.path}/elsewhere`,
      HERE: `file://${world.lookaside}`,
    };
    const full = text.replaceAll(
      /HOST|REPO|BARE|IMAGE|ELSEWHERE|HERE/g,
      (word) => words[word as keyof typeof words],
    );
    await writeFile(join(folder(), "test.yaml"), full);
  }

  async function trust(scope: string): Promise<void> {
    const signedIdentity = { type: "matchRepository" };
    const rule = { type: "sigstoreSigned", keyPath: cosign.path, signedIdentity };
    const docker = scope === "" ? {} : { [scope]: [rule] };
    const policy = {
      default: scope === "" ? [rule] : [{ type: "reject" }],
      transports: { docker },
    };
    await writeFile(join(world.path, "policy.json"), JSON.stringify(policy));
  }

  async function trustGpg(): Promise<void> {
    await world.setPolicy({ type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath });
  }

  /** What a pull says; it must not come. */
  async function hintOf(name: string): Promise<string> {
    const { runtime } = world.runtime;
    const refusal = await runtime.images.pull(name).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "ERR_POLICY_REJECTED", hint: expect.any(String) });
    const { hint = "" } = refusal as { hint?: string };
    expect(formatVerdict(await runtime.explainPolicy(name))).toContain(`to pass: ${hint}`);
    return hint;
  }

  /** What a check of the policy says is to be done. */
  async function checked(): Promise<readonly string[]> {
    const options = { path: join(world.path, "policy.json"), registriesDPath: folder() };
    return (await checkPolicyFile(options)).problems.map(({ remedy }) => remedy);
  }

  /** Does each thing that is said in turn, with all as it was before; each must be enough. */
  async function expectEnough(
    name: string,
    text: string,
    say: () => Promise<string>,
  ): Promise<void> {
    await write(text, name);
    const count = remediesOf(await say()).length;
    expect(count).toBeGreaterThan(0);
    for (let index = 0; index < count; index += 1) {
      await write(text, name);
      await remediesOf(await say())[index]?.();
      await world.runtime.runtime.images.pull(name);
    }
  }

  const NO = "use-sigstore-attachments: false";
  test.for([
    ["nothing is said", "", 1],
    ["a section has a lookaside only", 'docker:\n  "REPO":\n    lookaside: file:///a', 1],
    ["a section is empty", 'docker:\n  "REPO":', 1],
    ["a section says no", `docker:\n  "REPO":\n    ${NO}`, 1],
    [
      "a section says nothing behind the key",
      'docker:\n  "REPO":\n    use-sigstore-attachments:',
      1,
    ],
    ["a section of the tag says no", `docker:\n  "IMAGE":\n    ${NO}`, 1],
    ["a wider section says no", `docker:\n  "HOST":\n    ${NO}`, 2],
    [
      "a wider one says no to this one's",
      `docker:\n  "HOST":\n    ${NO}\n  "REPO":\n    lookaside: file:///a`,
      2,
    ],
    ["the default says no", `default-docker:\n    ${NO}`, 2],
    ["a key is misspelt", 'docker:\n  "REPO":\n    use-sigstore-attachment: true', 1],
    ["a key is written otherwise", 'docker:\n  "HOST":\n    useSigstoreAttachments: true', 1],
    ["a section lacks the port", 'docker:\n  "BARE":\n    use-sigstore-attachments: true', 1],
    [
      "a section lacks the port that another has",
      'docker:\n  "BARE":\n    use-sigstore-attachments: true\n  "HOST":\n    lookaside: file:///a',
      1,
    ],
  ] as const)("has signatures beside the image found where %s", async ([, text, count]) => {
    await trust(repositoryOf(beside));
    await write(text);
    expect(remediesOf(await hintOf(beside))).toHaveLength(count);
    await expectEnough(beside, text, () => hintOf(beside));
    if (text.includes("IMAGE")) return;
    const ofRequirement = async (): Promise<string> => (await checked()).at(-1) ?? "";
    await expectEnough(beside, text, ofRequirement);
  });

  const NONE = "use-sigstore-attachments: true";
  test.for([
    ["nothing is said", "", 1],
    ["a section has none", `docker:\n  "REPO":\n    ${NONE}`, 1],
    ["a section has an empty one", 'docker:\n  "REPO":\n    lookaside: ""', 1],
    ["a section has a wrong one", 'docker:\n  "REPO":\n    lookaside: ELSEWHERE', 1],
    ["a section of the tag has a wrong one", 'docker:\n  "IMAGE":\n    lookaside: ELSEWHERE', 1],
    [
      "a section has a wrong one, as it was called",
      'docker:\n  "REPO":\n    sigstore: ELSEWHERE',
      1,
    ],
    ["a wider section has a wrong one", 'docker:\n  "HOST":\n    lookaside: ELSEWHERE', 2],
    [
      "a wider section has a wrong one, and its own has none",
      `docker:\n  "HOST":\n    lookaside: ELSEWHERE\n  "REPO":\n    ${NONE}`,
      2,
    ],
    ["the default has a wrong one", "default-docker:\n    lookaside: ELSEWHERE", 2],
    ["a key is misspelt", 'docker:\n  "REPO":\n    lookasid: HERE', 1],
    ["a key that was once called so is misspelt", 'docker:\n  "REPO":\n    sigstor: HERE', 1],
    [
      "a key is misspelt, and the default has a wrong one",
      'docker:\n  "HOST":\n    look_aside: HERE\ndefault-docker:\n    lookaside: ELSEWHERE',
      1,
    ],
    [
      "a section lacks the port that another has",
      `docker:\n  "BARE":\n    lookaside: HERE\n  "HOST":\n    ${NONE}`,
      1,
    ],
  ] as const)("has the lookaside found where %s", async ([, text, count]) => {
    await trustGpg();
    const say = async (): Promise<string> =>
      (await hintOf(signed)).replaceAll('"URL"', `"file://${world.lookaside}"`);
    await write(text, signed);
    expect(remediesOf(await say())).toHaveLength(count);
    await expectEnough(signed, text, say);
  });

  test.for([
    ["nothing", "docker: {}"],
    ["a default with a lookaside", "default-docker:\n    lookaside: file:///a"],
    ["a default that says no", `default-docker:\n    ${NO}`],
  ] as const)("has signatures beside all images found where there is %s", async ([, text]) => {
    await trust("");
    await expectEnough(beside, text, async () => (await checked()).at(-1) ?? "");
  });

  test("tells a check of the section without the port also beside one that has it", async () => {
    await trust(repositoryOf(beside));
    const ours = "    use-sigstore-attachments: true";
    await write(`docker:\n  "BARE":\n${ours}\n  "HOST":\n    lookaside: file:///a`);
    const file = join(folder(), "test.yaml");
    const words = `move what it says to docker["${world.host}"] in ${file}, line 4,`;
    expect(await checked()).toContainEqual(expect.stringContaining(words));
    await write(`docker:\n  "HOST":\n${ours}\n    lookaside: file:///a`);
    await world.runtime.runtime.images.pull(beside);
  });

  test("has each way told that one of several requirements could be met by", async () => {
    await world.setRegistriesD({});
    const both = await world.push("team/both:1", "--sign-by", world.signer);
    await attachSignature(both, site.image.descriptor, cosign, repositoryOf(both));
    const signedIdentity = { type: "matchRepository" };
    const keyed = { keyPath: cosign.path, signedIdentity };
    const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: world.keyPath };
    const bundle = { type: "sigstoreBundle", keyPath: cosign.path };
    const requirements = [gpg, { type: "sigstoreSigned", ...keyed }, { type: "reject" }, bundle];
    await world.setPolicy({ type: "anyOf", requirements });
    const { runtime } = world.runtime;
    const hintNow = async (): Promise<string> => {
      const refusal = await runtime.images.pull(both).catch((error: unknown) => error);
      const { hint = "" } = refusal as { hint?: string };
      return hint.replaceAll('"URL"', `"file://${world.lookaside}"`);
    };
    const hint = await hintNow();
    expect(hint).toMatch(
      /^One of these is enough\. \(signedBy\) .* \(sigstoreSigned, sigstoreBundle\) /,
    );
    const ways = hint.split(" (sigstoreSigned");
    expect(ways).toHaveLength(2);
    for (const at of ways.keys()) {
      await write("", both);
      const way = (await hintNow()).split(" (sigstoreSigned")[at] ?? "";
      expect(remediesOf(way)).toHaveLength(1);
      await remediesOf(way)[0]?.();
      await runtime.images.pull(both);
    }
    await world.setPolicy({ type: "anyOf", requirements, threshold: 2 });
    await write("", both);
    expect(await hintNow()).toMatch(/^2 of these are needed\. /);
    await remediesOf(await hintNow())[0]?.();
    expect(await hintNow()).not.toMatch(/^2 of/);
  });

  test("says in an explanation once what all requirements have in common", async () => {
    const rules = ["sigstoreSigned", "sigstoreBundle"].map((type) => ({
      type,
      keyPath: cosign.path,
    }));
    await world.setPolicy({ type: "anyOf", requirements: rules }, ...rules);
    await write("");
    const told = formatVerdict(await world.runtime.runtime.explainPolicy(beside));
    for (const words of ["does not set use-sigstore-attachments", "into a new file"]) {
      expect(told.split(words)).toHaveLength(2);
    }
    expect(told.split("to pass: ")).toHaveLength(5);
  });

  test.for([
    ["a scope", 'docker:\n  "REPO":'],
    ["the default", "default-docker:"],
  ] as const)("tells how to merge what two files say of %s", async ([, head]) => {
    await trust(repositoryOf(beside));
    const ours = "    use-sigstore-attachments: true";
    const first = `${head}\n    lookaside: file:///a`;
    await write(`${head}\n${ours}`);
    await rename(join(folder(), "test.yaml"), join(world.path, "z.yaml"));
    await write(first);
    await rename(join(world.path, "z.yaml"), join(folder(), "z.yaml"));
    await expect(world.runtime.runtime.images.pull(beside)).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: expect.stringMatching(/z\.yaml: line \d, .* is in .*test\.yaml, line \d, already$/),
      hint: expect.stringMatching(
        /^Merge the two: move what .* has in .*z\.yaml to .*test\.yaml, line \d, and remove it from .*z\.yaml\.$/,
      ),
    });
    await write(`${first}\n${ours}`);
    await world.runtime.runtime.images.pull(beside);
  });

  test.for([
    [
      "docker:\n  q.io: {}\n\ndocker: {}",
      "line 4, docker: is in line 1, already",
      "docker: in line 4 to that of line 1",
    ],
    [
      "docker:\n  q.io: {lookaside: a,\n    lookaside: b}",
      "line 3, lookaside: is in line 2, already",
      "remove lookaside: of line 2, or that of line 3",
    ],
  ] as const)("tells how to merge a key that is there twice: %j", async ([text, words, hint]) => {
    await write(text);
    await expect(world.runtime.runtime.images.pull(beside)).rejects.toMatchObject({
      code: "ERR_POLICY_INVALID_REGISTRIES_D",
      message: expect.stringContaining(`test.yaml: ${words}`),
      hint: expect.stringContaining(hint),
    });
  });
});
