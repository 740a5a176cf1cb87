import type { ImageSignature } from "@stowage/policy";
import { createPolicyEvaluator, formatVerdict, parsePolicy } from "@stowage/policy";
import { parseReference } from "@stowage/reference";
import { type GpgKeyring, hasPeer, makeGpgKeyring } from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { MANIFEST_DIGEST, payloadOf, simpleSignature } from "./support/judged-image.ts";
import { BUNDLE, cosignSign, makeSigner, SIGNATURE } from "./support/sigstore-signer.ts";

const ACCEPT_ANYTHING = "insecureAcceptAnything";
const REJECT = { type: "reject" };
const WHERE = 'transports.docker["q.io/a"]';

/** What a pull is told, which an explanation tells as well; the image has a scope, or none. */
async function refusalOf(
  requirements: readonly object[],
  signatures: readonly ImageSignature[],
  isDefault = false,
  code = "ERR_POLICY_REJECTED",
): Promise<{ readonly message: string; readonly hint: string | undefined }> {
  const policy = isDefault
    ? { default: requirements }
    : { default: [REJECT], transports: { docker: { "q.io/a": requirements } } };
  const evaluator = createPolicyEvaluator({
    policy: parsePolicy(JSON.stringify(policy)),
    signatures: { findSignatures: async () => ({ signatures, places: [] }) },
  });
  const reference = parseReference("q.io/a/b:1");
  const subject = { transport: "docker", reference, manifestDigest: MANIFEST_DIGEST } as const;
  const refused = await evaluator.requireAllowed(subject).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code });
  const { message, hint } = refused as { message: string; hint?: string };
  expect(formatVerdict(await evaluator.evaluate(subject))).toContain(hint ?? "");
  return { message, hint };
}

describe("a requirement that rejects", () => {
  test("by default leads to a scope, and to one for what nobody signed last", async () => {
    const { hint = "" } = await refusalOf([REJECT], [], true);
    expect(hint).toContain('a scope transports.docker["q.io/a/b"]');
    expect(hint).toMatch(
      /for an image that nobody signed, \[\{"type":"insecureAcceptAnything"\}\]/,
    );
    expect(hint.indexOf("signedBy")).toBeLessThan(hint.indexOf(ACCEPT_ANYTHING));
  });

  test("in a scope of the image's own does so on purpose, and where is said", async () => {
    const { hint } = await refusalOf([REJECT], []);
    expect(hint).toContain(`rejects on purpose, in the policy, line 1, ${WHERE}[0]`);
    expect(hint).not.toContain(ACCEPT_ANYTHING);
  });

  test.for([true, false])("beside another is to be removed (in the default: %s)", async (where) => {
    const { hint } = await refusalOf([{ type: ACCEPT_ANYTHING }, REJECT], [], where);
    expect(hint).toContain("remove requirement 2");
    expect(hint).not.toMatch(/insecureAcceptAnything|a scope transports/);
  });

  test("inside of others is no reason to accept anything", async () => {
    const { hint } = await refusalOf([{ type: "anyOf", requirements: [REJECT] }], [], true);
    expect(hint).not.toContain(ACCEPT_ANYTHING);
    const own = await refusalOf([{ type: "anyOf", requirements: [REJECT] }], []);
    expect(own.hint ?? "").not.toContain("a scope transports");
  });
});

test("what no tool can check is to be replaced", async () => {
  const { hint } = await refusalOf(
    [{ type: "signedBaseLayer", baseLayerIdentity: { type: "matchExact" } }],
    [],
  );
  expect(hint).toContain("Use signedBy or sigstoreSigned instead");
});

describe("a sigstore signature that does not count", () => {
  const alice = makeSigner();
  const requirement = { type: "sigstoreSigned", keyData: alice.data };
  const good = cosignSign(alice);

  test("for want of a log is to be made with one, or the log's key goes", async () => {
    const wanted = { ...requirement, rekorPublicKeyData: makeSigner().data };
    const { message, hint } = await refusalOf([wanted], [good]);
    expect(message).toContain(`there is no annotation ${BUNDLE}`);
    expect(hint).toContain(`remove "rekorPublicKeyData" from the policy, line 1, ${WHERE}[0].`);
  });

  test("since it is not whole is to be fetched again", async () => {
    for (const text of ["", "x", undefined]) {
      const { [SIGNATURE]: _, ...others } = good.annotations;
      const annotations = text === undefined ? others : { ...others, [SIGNATURE]: text };
      const { hint } = await refusalOf([requirement], [{ ...good, annotations }]);
      expect(hint).toContain(`Fetch the signature again (${good.origin})`);
    }
  });
});

describe.runIf(hasPeer("gpg"))("a GPG signature that does not count (if gpg is installed)", () => {
  let keyring: GpgKeyring;

  beforeAll(async () => {
    keyring = await makeGpgKeyring();
  });

  afterAll(() => keyring[Symbol.asyncDispose]());

  const signedBy = async (key: string): Promise<object> => {
    const keyData = (await keyring.exportKey(key)).toString("base64");
    return { type: "signedBy", keyType: "GPGKeys", keyData };
  };

  test("since it is damaged is to be fetched again, in words of no library", async () => {
    const key = await keyring.makeKey("alice");
    const good = await keyring.sign(key, payloadOf());
    const bare = await keyring.sign(key, payloadOf(), "--compress-algo", "none");
    const rules = [await signedBy(key)];
    const flipped = (bytes: Buffer, at: number): Buffer => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      return changed;
    };
    for (const bytes of [
      flipped(good, good.length - 1),
      flipped(good, good.length >> 1),
      good.subarray(0, good.length >> 1),
      good.subarray(0, 3),
      flipped(bare, bare.length >> 1),
      bare.subarray(0, bare.length - 4),
    ]) {
      const { message, hint } = await refusalOf(rules, [simpleSignature(bytes, "file:///s/1")]);
      expect(hint).toContain("Fetch the signature again (file:///s/1), or have the image signed");
      expect(message).not.toMatch(/packet|failed|\(\)|: \)/i);
    }
  });

  test("since its key is too weak needs a stronger one", async () => {
    const key = await keyring.makeKey("weak", { algorithm: "rsa1024" });
    const signature = simpleSignature(await keyring.sign(key, payloadOf()));
    const { message, hint } = await refusalOf([await signedBy(key)], [signature]);
    expect(message).toContain(`its key ${key} is too weak (rsa`);
    expect(hint).toContain("2048 bits or more");
  });

  test("since its hash can be forged needs a better one", async () => {
    const key = await keyring.makeKey("hashing", { algorithm: "rsa2048" });
    const weak = ["--digest-algo", "SHA1", "--allow-weak-digest-algos"];
    const signature = simpleSignature(await keyring.sign(key, payloadOf(), ...weak));
    const { hint } = await refusalOf([await signedBy(key)], [signature]);
    expect(hint).toContain("by SHA-256 or better");
  });
});

describe("of a sigstore bundle's requirement", () => {
  const identity = { issuer: "https://a.example", subject: "https://b.example" };

  test("a key that is not there is to be a key, of which alone is spoken", async () => {
    const requirement = { type: "sigstoreBundle", keyPath: "/none/cosign.pub" };
    const { hint } = await refusalOf([requirement], [], false, "ERR_POLICY_INVALID_KEY");
    expect(hint).toContain("a public key in PEM");
    expect(hint).not.toContain("trusted root");
  });

  test("a trusted root that is none is to be one, and once is said what that is", async () => {
    const trustedRootData = Buffer.from("{}").toString("base64");
    const requirement = { type: "sigstoreBundle", identity, trustedRootData };
    const { hint = "" } = await refusalOf([requirement], [], false, "ERR_POLICY_INVALID_KEY");
    expect(hint.split("trusted_root.json")).toHaveLength(2);
    expect(hint.split("TUF")).toHaveLength(2);
    expect(hint).toContain("authorities, logs and clocks");
  });
});
