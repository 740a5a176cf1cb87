import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import {
  createPolicyEvaluator,
  parsePolicy,
  readFolderSignatures,
  type SignatureSource,
} from "@stowage/policy";
import { hasPeer, makeGpgKeyring, tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { MANIFEST_DIGEST, payloadOf } from "./support/judged-image.ts";

/** What an OpenPGP message may begin with. */
const MESSAGE = Buffer.of(0x90, 1, 0);

describe("readFolderSignatures", () => {
  test("reads the files in order, to the first that is not there", async () => {
    await using folder = await tempDir();
    for (const n of [1, 2, 4]) await writeFile(join(folder.path, `signature-${n}`), MESSAGE);
    const { signatures, places } = await readFolderSignatures(folder.path);
    expect(signatures.map(({ origin }) => origin)).toEqual([
      join(folder.path, "signature-1"),
      join(folder.path, "signature-2"),
    ]);
    expect(places).toMatchObject([{ kind: "folder", found: 2 }]);
  });

  test("reads those of one image of an index by its digest, and no others", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "signature-1"), MESSAGE);
    const name = `${MANIFEST_DIGEST.slice("sha256:".length)}.signature-1`;
    const instance = MANIFEST_DIGEST;
    expect((await readFolderSignatures(folder.path, { instance })).signatures).toEqual([]);
    await writeFile(join(folder.path, name), MESSAGE);
    const { signatures } = await readFolderSignatures(folder.path, { instance });
    expect(signatures.map(({ origin }) => origin)).toEqual([join(folder.path, name)]);
  });

  test("S17 fails where a file is none, or stands for no signature", async () => {
    await using folder = await tempDir();
    await writeFile(join(folder.path, "signature-1"), "hello");
    await expect(readFolderSignatures(folder.path)).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURE_INVALID",
    });
    await using other = await tempDir();
    await mkdir(join(other.path, "signature-1"));
    await expect(readFolderSignatures(other.path)).rejects.toMatchObject({
      code: "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    });
  });

  test("S15 stops at 129, and waits for nobody once its signal has fired", async () => {
    await using folder = await tempDir();
    for (let n = 1; n <= 129; n += 1) {
      await writeFile(join(folder.path, `signature-${n}`), MESSAGE);
    }
    await expect(readFolderSignatures(folder.path)).rejects.toMatchObject({
      code: "ERR_POLICY_TOO_MANY_SIGNATURES",
    });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(readFolderSignatures(folder.path, { signal })).rejects.toBe(signal.reason);
  });
});

describe.runIf(hasPeer("gpg"))("an image in a folder (if gpg is installed)", () => {
  test("is signed for a name that the policy has to tell, and the verdict says so", async () => {
    await using keyring = await makeGpgKeyring();
    await using folder = await tempDir();
    const key = await keyring.makeKey("signer");
    const keyData = Buffer.from(await keyring.exportKey(key)).toString("base64");
    await writeFile(join(folder.path, "signature-1"), await keyring.sign(key, payloadOf()));
    const judge = async (signedIdentity: object, signatures?: SignatureSource) => {
      const rule = { type: "signedBy", keyType: "GPGKeys", keyData, signedIdentity };
      const policy = parsePolicy(JSON.stringify({ default: [rule] }));
      const usual = { findSignatures: () => readFolderSignatures(folder.path) };
      const { evaluate } = createPolicyEvaluator({ policy, signatures: signatures ?? usual });
      const subject = { transport: "dir", path: folder.path, manifestDigest: MANIFEST_DIGEST };
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
