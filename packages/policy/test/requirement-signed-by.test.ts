import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { createPolicyEvaluator, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { type GpgKeyring, hasPeer, makeGpgKeyring } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  judgeImage,
  judgeOne,
  MANIFEST_DIGEST,
  payloadOf,
  simpleSignature,
} from "./support/judged-image.ts";

const OTHER_DIGEST = `sha256:${"1".repeat(64)}`;

describe.runIf(hasPeer("gpg"))("signedBy (if gpg is installed)", () => {
  let keyring: GpgKeyring;
  let alice: string;
  let bob: string;
  let requirement: object;
  let good: Buffer;

  beforeAll(async () => {
    keyring = await makeGpgKeyring();
    alice = await keyring.makeKey("alice", { algorithm: "rsa2048" });
    bob = await keyring.makeKey("bob");
    requirement = await signedBy(alice);
    good = await keyring.sign(alice, payloadOf());
  });

  afterAll(() => keyring[Symbol.asyncDispose]());

  async function signedBy(...keys: readonly string[]): Promise<object> {
    const data = await Promise.all(keys.map((key) => keyring.exportKey(key)));
    return {
      type: "signedBy",
      keyType: "GPGKeys",
      keyData: Buffer.concat(data).toString("base64"),
    };
  }

  test("allows by a signature that gpg made, and says by whom and for which name", async () => {
    expect(await judgeOne(requirement, simpleSignature(good, "there"))).toEqual({
      type: "signedBy",
      allowed: true,
      reason: `it is signed by the OpenPGP key ${alice}, for q.io/a/b:1`,
      signatures: [
        {
          format: "simple-signing",
          origin: "there",
          accepted: true,
          reason: expect.any(String),
          signer: `the OpenPGP key ${alice}`,
          identity: "q.io/a/b:1",
        },
      ],
    });
  });

  test("takes keys from files, armored or not, and any key of several", async () => {
    const [binary, armored] = [join(keyring.path, "bob.gpg"), join(keyring.path, "alice.asc")];
    await writeFile(binary, await keyring.exportKey(bob, "binary"));
    await writeFile(armored, await keyring.exportKey(alice));
    const signatures = [simpleSignature(good)];
    for (const keys of [{ keyPath: armored }, { keyPaths: [binary, armored] }]) {
      const files = { type: "signedBy", keyType: "GPGKeys", ...keys };
      expect((await judgeImage([files], signatures)).allowed).toBe(true);
    }
    const other = { type: "signedBy", keyType: "GPGKeys", keyPath: binary };
    expect((await judgeImage([other], signatures)).allowed).toBe(false);
  });

  test("S01 denies an image without signatures, and says where there are none", async () => {
    const places = [
      { kind: "lookaside", location: "file:///srv/sigs", found: 0 },
      { kind: "attachments", location: "a tag", skipped: "they are off" },
    ] as const;
    const { allowed, requirements } = await judgeImage([requirement], [], { places });
    expect(allowed).toBe(false);
    expect(requirements[0]).toMatchObject({
      allowed: false,
      reason: "a GPG signature is required, and there is none in file:///srv/sigs",
      remedy: expect.stringContaining("lookaside"),
    });
  });

  test("P10 asks all requirements, so that two signers can be wanted", async () => {
    const both = [requirement, await signedBy(bob)];
    const byBob = simpleSignature(await keyring.sign(bob, payloadOf()));
    expect((await judgeImage(both, [simpleSignature(good)])).allowed).toBe(false);
    expect((await judgeImage(both, [simpleSignature(good), byBob])).allowed).toBe(true);
    const accepting = [{ type: "insecureAcceptAnything" }, requirement];
    expect((await judgeImage(accepting, [byBob])).allowed).toBe(false);
  });

  test("one good signature among bad ones is enough", async () => {
    const bad = await keyring.sign(bob, payloadOf());
    const many = [...Array<Buffer>(5).fill(bad), good, bad].map((bytes) => simpleSignature(bytes));
    const verdict = await judgeImage([requirement], many);
    expect(verdict.allowed).toBe(true);
    const signatures = verdict.requirements[0]?.signatures ?? [];
    expect(signatures.map(({ accepted }) => accepted)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  test.for([
    ["S02 another digest", { digest: OTHER_DIGEST }, "mismatch"],
    ["S02 another tag", { name: "q.io/a/b:2" }, "mismatch"],
    ["S02 another repository", { name: "q.io/a/c:1" }, "mismatch"],
    ["S02 a lookalike of the repository", { name: "q.io/a/bc:1" }, "mismatch"],
    ["S02 the repository without a tag", { name: "q.io/a/b" }, "mismatch"],
    ["S02 no name", { name: "" }, "mismatch"],
    ["S03 another type", { type: "cosign container image signature" }, "malformed"],
    ["S03 a fraction of a timestamp", { optional: { timestamp: 1.5 } }, "malformed"],
    ["S03 a creator that is a number", { optional: { creator: 1 } }, "malformed"],
    ["S03 no optional part", { optional: null }, "malformed"],
  ] as const)("%s does not count", async ([, claims, fault]) => {
    const signature = simpleSignature(await keyring.sign(alice, payloadOf(claims)));
    const verdict = await judgeOne(requirement, signature);
    expect(verdict).toMatchObject({ allowed: false, signatures: [{ accepted: false, fault }] });
  });

  test.for([
    ["a repeated key", (text: string) => text.replace("{", '{"optional":{},')],
    ["an unknown key", (text: string) => text.replace("{", '{"other":{},')],
    ["an unknown critical key", (text: string) => text.replace('"type"', '"a":1,"type"')],
    ["a huge timestamp", (text: string) => text.replace("{}", '{"timestamp":1e400}')],
    ["text after it", (text: string) => `${text}{}`],
    ["no JSON", () => "hello"],
    ["nothing", () => ""],
  ] as const)("S03 a payload with %s is malformed", async ([, change]) => {
    const signature = simpleSignature(await keyring.sign(alice, change(payloadOf())));
    expect(await judgeOne(requirement, signature)).toMatchObject({
      allowed: false,
      signatures: [{ fault: "malformed" }],
    });
  });

  test("S03 what a signer adds to the optional part is ignored", async () => {
    const claims = { optional: { creator: "me", timestamp: 1, more: [1] } };
    const signature = simpleSignature(await keyring.sign(alice, payloadOf(claims)));
    expect((await judgeOne(requirement, signature)).allowed).toBe(true);
  });

  test("S08 a key that only gpg's own keyring has is nobody's", async () => {
    const signature = simpleSignature(await keyring.sign(bob, payloadOf()));
    const keyPath = join(keyring.path, "only-alice.asc");
    await writeFile(keyPath, await keyring.exportKey(alice));
    const fromFile = { type: "signedBy", keyType: "GPGKeys", keyPath };
    expect(await judgeOne(fromFile, signature)).toMatchObject({
      allowed: false,
      reason: expect.stringContaining(bob.slice(-16)),
      remedy: expect.stringContaining(`${alice} of ${keyPath}`),
      signatures: [{ fault: "untrusted" }],
    });
  });

  test.for([
    ["two signatures at once", async () => keyring.sign(alice, payloadOf(), "--local-user", bob)],
    [
      "two signatures, the other way round",
      async () => keyring.sign(bob, payloadOf(), "--local-user", alice),
    ],
    ["a signature of a signature", async () => keyring.sign(alice, good)],
    ["two messages", async () => Buffer.concat([good, good])],
    ["a detached signature", async () => detached("--detach-sign")],
    ["a clear signature", async () => detached("--clear-sign")],
    ["armor", async () => detached("--armor", "--sign")],
    ["a message that nobody signed", async () => keyring.run(["--store"], payloadOf())],
    ["nothing", async () => Buffer.alloc(0)],
    ["a part of one", async () => good.subarray(0, -3)],
  ] as const)("S08 %s is malformed", async ([, make]) => {
    expect(await judgeOne(requirement, simpleSignature(await make()))).toMatchObject({
      allowed: false,
      signatures: [{ accepted: false }],
    });
  });

  async function detached(...args: readonly string[]): Promise<Buffer> {
    const how = ["--pinentry-mode", "loopback", "--passphrase", "", "--local-user", alice];
    return keyring.run([...how, ...args], payloadOf());
  }

  test("S07 a subkey signs for its key, until it is revoked", async () => {
    const owner = await keyring.makeKey("owner");
    const subkey = await keyring.addSubkey(owner);
    const signature = simpleSignature(await keyring.sign(`${subkey}!`, payloadOf()));
    expect((await judgeOne(await signedBy(owner), signature)).reason).toContain(owner);
    await keyring.revokeSubkey(owner);
    expect((await judgeOne(await signedBy(owner), signature)).allowed).toBe(false);
  });

  test("S07, V88 an expired subkey signs nothing, also what it signed before", async () => {
    // To make the keys takes seconds, on a busy machine, of the time that is told.
    const [at, later] = ["20240101T000000", "20240101T010000"];
    const owner = await keyring.makeKey("owner-of-old", { at });
    const subkey = await keyring.addSubkey(owner, { at, expires: "2d" });
    const bytes = await keyring.sign(`${subkey}!`, payloadOf(), "--faked-system-time", later);
    const requirement = await signedBy(owner);
    const now = (): Date => new Date("2024-01-02T00:00:00Z");
    expect((await judgeOne(requirement, simpleSignature(bytes), { now })).allowed).toBe(true);
    expect((await judgeOne(requirement, simpleSignature(bytes))).allowed).toBe(false);
  });

  test("S07, V88 a revoked key signs nothing, nor has it", async () => {
    const carol = await keyring.makeKey("carol");
    const signature = simpleSignature(await keyring.sign(carol, payloadOf()));
    expect((await judgeOne(await signedBy(carol), signature)).allowed).toBe(true);
    await keyring.revokeKey(carol);
    expect(await judgeOne(await signedBy(carol), signature)).toMatchObject({
      allowed: false,
      signatures: [{ fault: "untrusted", reason: expect.stringMatching(/revoked/) }],
    });
  });

  test("S07, V88 an expired key signs nothing, also what it signed before", async () => {
    // To make the key takes seconds, on a busy machine, of the time that is told.
    const [at, later] = ["20240101T000000", "20240101T010000"];
    const dave = await keyring.makeKey("dave", { at, expires: "2d" });
    const bytes = await keyring.sign(dave, payloadOf(), "--faked-system-time", later);
    const requirement = await signedBy(dave);
    const now = (): Date => new Date("2024-01-02T00:00:00Z");
    expect((await judgeOne(requirement, simpleSignature(bytes), { now })).allowed).toBe(true);
    expect(await judgeOne(requirement, simpleSignature(bytes))).toMatchObject({
      allowed: false,
      signatures: [{ fault: "untrusted", reason: expect.stringMatching(/expired/) }],
    });
  });

  test("a key on a curve that is not supported signs nothing, which is what is said", async () => {
    const frank = await keyring.makeKey("frank", { algorithm: "brainpoolP256r1" });
    const signature = simpleSignature(await keyring.sign(frank, payloadOf()));
    expect(await judgeOne(await signedBy(frank), signature)).toMatchObject({
      allowed: false,
      remedy: expect.stringContaining("Ed25519"),
      signatures: [{ fault: "untrusted", reason: expect.stringMatching(/brainpoolP256r1/) }],
    });
  });

  test("S07 an expired signature does not count", async () => {
    const how = ["--faked-system-time", "20240101T000000", "--default-sig-expire", "1d"];
    const erin = await keyring.makeKey("erin", { at: "20230101T000000" });
    const bytes = await keyring.sign(erin, payloadOf(), ...how);
    const requirement = await signedBy(erin);
    const now = (): Date => new Date("2024-01-01T12:00:00Z");
    expect((await judgeOne(requirement, simpleSignature(bytes), { now })).allowed).toBe(true);
    expect((await judgeOne(requirement, simpleSignature(bytes))).allowed).toBe(false);
  });

  test("S14 a signature from the future does not count", async () => {
    const bytes = await keyring.sign(alice, payloadOf(), "--faked-system-time", "20400101T000000");
    expect((await judgeOne(requirement, simpleSignature(bytes))).allowed).toBe(false);
  });

  test.for([
    ["RSA of 1024 bits", "rsa1024", []],
    ["SHA-1", "rsa2048", ["--digest-algo", "SHA1"]],
    ["DSA", "dsa2048", []],
  ] as const)("S07, V88 %s is too weak", async ([, algorithm, args]) => {
    const weak = await keyring.makeKey(`weak-${algorithm}`, { algorithm });
    const signature = simpleSignature(await keyring.sign(weak, payloadOf(), ...args));
    expect(await judgeOne(await signedBy(weak), signature)).toMatchObject({
      allowed: false,
      signatures: [{ accepted: false }],
    });
  });

  test("S07 Ed25519 and NIST curves are as good as RSA", async () => {
    for (const algorithm of ["ed25519", "nistp256"]) {
      const key = await keyring.makeKey(`curve-${algorithm}`, { algorithm });
      const signature = simpleSignature(await keyring.sign(key, payloadOf()));
      expect((await judgeOne(await signedBy(key), signature)).allowed).toBe(true);
    }
  });

  test.for([
    ["is not there", (path: string) => ({ keyPath: `${path}/none` })],
    ["is a directory", (path: string) => ({ keyPath: path })],
    ["is no key", (path: string) => ({ keyPath: `${path}/trustdb.gpg` })],
    ["is empty", (path: string) => ({ keyPath: `${path}/empty` })],
    ["is too long", (path: string) => ({ keyPath: `${path}/long` })],
    ["is private", (path: string) => ({ keyPath: `${path}/private.asc` })],
    [
      "is one bad one of several",
      (path: string) => ({ keyPaths: [`${path}/a.asc`, `${path}/none`] }),
    ],
    ["is data of none", () => ({ keyData: "" })],
  ] as const)(
    "P05, S06 a key that %s denies, and is told as a fault of the policy",
    async ([, keys]) => {
      await writeFile(join(keyring.path, "empty"), "");
      await writeFile(join(keyring.path, "long"), Buffer.alloc(1024 * 1024));
      await writeFile(join(keyring.path, "a.asc"), await keyring.exportKey(alice));
      const how = ["--pinentry-mode", "loopback", "--passphrase", "", "--armor"];
      const secret = await keyring.run([...how, "--export-secret-keys", alice]);
      await writeFile(join(keyring.path, "private.asc"), secret);
      const bad = { type: "signedBy", keyType: "GPGKeys", ...keys(keyring.path) };
      const policy = parsePolicy(JSON.stringify({ default: [bad] }));
      const signatures = {
        findSignatures: async () => ({ signatures: [simpleSignature(good)], places: [] }),
      };
      const { evaluate, requireAllowed } = createPolicyEvaluator({ policy, signatures });
      const reference = parseReference("q.io/a/b:1");
      const subject = { transport: "docker", reference, manifestDigest: MANIFEST_DIGEST } as const;
      expect((await evaluate(subject)).allowed).toBe(false);
      await expect(requireAllowed(subject)).rejects.toMatchObject({
        code: "ERR_POLICY_INVALID_KEY",
        kind: "PolicyConfigInvalid",
        verdict: { allowed: false },
      });
    },
  );

  test("V88 a key that is listed twice counts once", async () => {
    const twice = await signedBy(alice, alice);
    expect((await judgeOne(twice, simpleSignature(good))).allowed).toBe(true);
    const threshold = {
      type: "anyOf",
      threshold: 2,
      requirements: [requirement, await signedBy(bob)],
    };
    const verdict = await judgeOne(threshold, simpleSignature(good));
    expect(verdict).toMatchObject({
      allowed: false,
      reason: expect.stringContaining("1 of its 2"),
    });
  });

  test.for(["signedByGPGKeys", "X509Certificates", "signedByX509CAs"] as const)(
    "POL-G36 the keyType %s has no meaning, and denies",
    async (keyType) => {
      const verdict = await judgeOne({ ...requirement, keyType }, simpleSignature(good));
      expect(verdict).toMatchObject({ allowed: false, remedy: expect.stringContaining("GPGKeys") });
    },
  );
});
