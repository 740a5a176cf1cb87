import {
  createPolicyEvaluator,
  parsePolicy,
  readSignatureFiles,
  type SignatureSource,
} from "@stowage/policy";
import { hasPeer, makeGpgKeyring } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { MANIFEST_DIGEST, payloadOf } from "./support/judged-image.ts";

/** What an OpenPGP message may begin with. */
const MESSAGE = Buffer.of(0x90, 1, 0);

describe("readSignatureFiles", () => {
  test("says of each where it lies, and of the place how many there are", () => {
    const { signatures, places } = readSignatureFiles([MESSAGE, MESSAGE], "dir:/x");
    expect(signatures.map(({ origin }) => origin)).toEqual([
      "dir:/x: signature 1",
      "dir:/x: signature 2",
    ]);
    expect(places).toEqual([{ kind: "folder", location: "dir:/x", found: 2 }]);
  });

  test("S17 fails where a file stands for no signature", () => {
    expect(() => readSignatureFiles([Buffer.from("hello")], "dir:/x")).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_SIGNATURE_INVALID" }),
    );
  });

  test("S15 stops at 129", () => {
    const files = Array.from({ length: 129 }, () => MESSAGE);
    expect(readSignatureFiles(files.slice(1), "dir:/x").signatures).toHaveLength(128);
    expect(() => readSignatureFiles(files, "dir:/x")).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_TOO_MANY_SIGNATURES" }),
    );
  });
});

describe.runIf(hasPeer("gpg"))("an image in a folder (if gpg is installed)", () => {
  test("is signed for a name that the policy has to tell, and the verdict says so", async () => {
    await using keyring = await makeGpgKeyring();
    const key = await keyring.makeKey("signer");
    const keyData = Buffer.from(await keyring.exportKey(key)).toString("base64");
    const files = [await keyring.sign(key, payloadOf())];
    const judge = async (signedIdentity: object, signatures?: SignatureSource) => {
      const rule = { type: "signedBy", keyType: "GPGKeys", keyData, signedIdentity };
      const policy = parsePolicy(JSON.stringify({ default: [rule] }));
      const usual = { findSignatures: async () => readSignatureFiles(files, "dir:/x") };
      const { evaluate } = createPolicyEvaluator({ policy, signatures: signatures ?? usual });
      const subject = { transport: "dir", path: "/x", manifestDigest: MANIFEST_DIGEST };
      return (await evaluate(subject as typeof subject & { transport: "dir" })).requirements[0];
    };
    expect(await judge({ type: "matchRepository" })).toMatchObject({
      allowed: false,
      remedy: expect.stringContaining("exactRepository of q.io/a/b:1"),
    });
    const named = { type: "exactReference", dockerReference: "q.io/a/b:1" };
    expect((await judge(named))?.allowed).toBe(true);
    const places = [{ kind: "folder" as const, location: "oci:/x", skipped: "nobody looks there" }];
    expect(
      await judge(named, { findSignatures: async () => ({ signatures: [], places }) }),
    ).toMatchObject({
      allowed: false,
      reason: expect.stringContaining("nobody looks there"),
      remedy: expect.stringContaining("dir:"),
    });
  });
});
