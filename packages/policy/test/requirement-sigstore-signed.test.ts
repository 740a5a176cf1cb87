import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { acceptedAmong, everyFlip, withAnnotation } from "./support/changed-signature.ts";
import { judgeImage, judgeOne, payloadOf } from "./support/judged-image.ts";
import {
  COSIGN_PAYLOAD,
  cosignSign,
  makeSigner,
  sha256,
  SIGNATURE,
  type Signer,
} from "./support/sigstore-signer.ts";

const ALICE = makeSigner();
const BOB = makeSigner();
const RSA = makeSigner("rsa");

function byKey(...signers: readonly Signer[]): object {
  return { type: "sigstoreSigned", keyDatas: signers.map(({ data }) => data) };
}

describe("sigstoreSigned with keys", () => {
  test("allows by a signature of one of them, and says by which and for which name", async () => {
    const label = `the key sha256:${sha256(derOf(ALICE))}`;
    expect(await judgeOne(byKey(BOB, ALICE), cosignSign(ALICE))).toMatchObject({
      allowed: true,
      reason: `it is signed by ${label}, for q.io/a/b:1`,
      signatures: [{ accepted: true, signer: label, identity: "q.io/a/b:1" }],
    });
  });

  test("takes keys from files, RSA and Ed25519 ones too", async () => {
    await using folder = await tempDir();
    for (const kind of ["rsa", "ed25519", "ec"] as const) {
      const signer = makeSigner(kind);
      const keyPath = join(folder.path, kind);
      await writeFile(keyPath, signer.pem);
      for (const keys of [{ keyPath }, { keyPaths: [keyPath] }, { keyData: signer.data }]) {
        const verdict = await judgeOne({ type: "sigstoreSigned", ...keys }, cosignSign(signer));
        expect(verdict.allowed).toBe(true);
      }
    }
  });

  test("S01, S06 denies without a signature, and by another key", async () => {
    expect((await judgeImage([byKey(ALICE)], [])).allowed).toBe(false);
    expect(await judgeOne(byKey(ALICE), cosignSign(BOB))).toMatchObject({
      allowed: false,
      remedy: expect.stringContaining(`sha256:${sha256(derOf(ALICE))} of `),
      signatures: [{ fault: "untrusted" }],
    });
  });

  test.for([
    ["POL-X04 another tag", { name: "q.io/a/b:2" }, "mismatch"],
    ["POL-X07 the repository alone, as cosign writes it", { name: "q.io/a/b" }, "mismatch"],
    ["S02 another repository", { name: "q.io/a/bc:1" }, "mismatch"],
    ["S02 another digest", { digest: `sha256:${"0".repeat(64)}` }, "mismatch"],
    [
      "POL-P09, V84 the payload of a GPG signature",
      { type: "atomic container signature" },
      "malformed",
    ],
    ["S03 a fraction of a timestamp", { optional: { timestamp: 0.5 } }, "malformed"],
  ] as const)("%s does not count", async ([, claims, fault]) => {
    const signature = cosignSign(ALICE, {
      payload: payloadOf({ type: COSIGN_PAYLOAD, ...claims }),
    });
    const verdict = await judgeOne(byKey(ALICE), signature);
    expect(verdict).toMatchObject({ allowed: false, signatures: [{ fault }] });
    if (fault === "mismatch") expect(verdict.remedy).toEqual(expect.any(String));
  });

  test("POL-X07, POL-X08 cosign's bare name needs matchRepository, and the verdict says so", async () => {
    const payload = payloadOf({ type: COSIGN_PAYLOAD, name: "q.io/a/b", optional: null });
    const signature = cosignSign(ALICE, { payload });
    expect((await judgeOne(byKey(ALICE), signature)).remedy).toContain("matchRepository");
    const lenient = { ...byKey(ALICE), signedIdentity: { type: "matchRepository" } };
    expect((await judgeOne(lenient, signature)).allowed).toBe(true);
  });

  test.for([
    ["S09 no signature", { [SIGNATURE]: undefined }],
    ["S04 an empty one", { [SIGNATURE]: "" }],
    ["S04 one with a line end inside", { [SIGNATURE]: (text: string) => cutInto(text, 40) }],
    ["S04 one with two line ends", { [SIGNATURE]: (text: string) => `${text}\n\n` }],
    ["S04 one with line ends of Windows", { [SIGNATURE]: (text: string) => `${text}\r\n` }],
    ["S04 one with a space", { [SIGNATURE]: (text: string) => `${text} ` }],
    ["S04 one in the alphabet of URLs", { [SIGNATURE]: () => "_-_-" }],
    ["S04 one without its padding", { [SIGNATURE]: () => "YQ" }],
    ["S04 one of over 64 KiB", { [SIGNATURE]: () => "AAAA".repeat(20_000) }],
  ] as const)("%s is malformed", async ([, change]) => {
    const good = cosignSign(ALICE);
    const { [SIGNATURE]: to } = change as Record<
      string,
      ((text: string) => string) | string | undefined
    >;
    const { [SIGNATURE]: text = "", ...others } = good.annotations;
    const changed = typeof to === "function" ? to(text) : to;
    const annotations = changed === undefined ? others : { ...others, [SIGNATURE]: changed };
    expect(await judgeOne(byKey(ALICE), { ...good, annotations })).toMatchObject({
      allowed: false,
      signatures: [{ fault: "malformed" }],
    });
  });

  test("S04 takes the line ends that openssl, base64 and a shell write", async () => {
    const good = cosignSign(RSA);
    const requirement = { type: "sigstoreSigned", keyData: RSA.data };
    const { [SIGNATURE]: text = "" } = good.annotations;
    for (const written of [
      `${text}\n`,
      cutInto(text, 64),
      `${cutInto(text, 64)}\n`,
      `${cutInto(text, 76)}\n`,
    ]) {
      const signature = withAnnotation(good, SIGNATURE, written);
      expect((await judgeOne(requirement, signature)).allowed).toBe(true);
    }
  });

  test("S09, V84 another type than that of signatures is none", async () => {
    const mimeType = "application/vnd.dsse.envelope.v1+json";
    expect((await judgeOne(byKey(ALICE), cosignSign(ALICE, { mimeType }))).allowed).toBe(false);
  });

  test("S05 only (r, s) in DER counts: not zero, not P1363, not the long form, nothing behind", async () => {
    const der = Buffer.from(cosignSign(ALICE).annotations[SIGNATURE] ?? "", "base64");
    const rLength = der[3] ?? 0;
    const r = der.subarray(4, 4 + rLength);
    const s = der.subarray(6 + rLength);
    const fixed = (number: Buffer): Buffer =>
      Buffer.concat([Buffer.alloc(32), number]).subarray(-32);
    const forms = [
      Buffer.concat([fixed(r), fixed(s)]),
      Buffer.from("3006020100020100", "hex"),
      Buffer.concat([Buffer.from([0x30, 0x81, der[1] ?? 0]), der.subarray(2)]),
      Buffer.concat([der, Buffer.of(0)]),
      Buffer.concat([
        Buffer.from([0x30, (der[1] ?? 0) + 1, 0x02, rLength + 1, 0]),
        der.subarray(4),
      ]),
    ];
    for (const form of forms) {
      const signature = withAnnotation(cosignSign(ALICE), SIGNATURE, form.toString("base64"));
      expect((await judgeOne(byKey(ALICE), signature)).allowed).toBe(false);
    }
  });

  test("no flipped bit of a good signature or its payload is accepted", async () => {
    const good = cosignSign(ALICE);
    const bytes = Buffer.from(good.annotations[SIGNATURE] ?? "", "base64");
    const text = Buffer.from(good.annotations[SIGNATURE] ?? "");
    const changed = [
      ...everyFlip(bytes, (flipped) => withAnnotation(good, SIGNATURE, flipped.toString("base64"))),
      ...everyFlip(text, (flipped) => withAnnotation(good, SIGNATURE, flipped.toString("latin1"))),
      ...everyFlip(good.payload, (payload) => ({ ...good, payload })),
    ];
    expect(await acceptedAmong(byKey(ALICE), changed)).toEqual([]);
  });

  test.for([
    ["S07, V88 RSA of 1024 bits", (): string => makeSigner("rsa", 1024).pem],
    [
      "P05 a private key",
      (): string => ALICE.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    ],
    ["P05 two keys", (): string => ALICE.pem + BOB.pem],
    ["P05 no key", (): string => "hello"],
    ["P05 a broken key", (): string => ALICE.pem.replace(/\n.{20}/, "\n")],
  ] as const)("%s is a fault of the policy", async ([, make]) => {
    const bad = Buffer.from(make()).toString("base64");
    const requirement = { type: "sigstoreSigned", keyDatas: [ALICE.data, bad] };
    expect(await judgeOne(requirement, cosignSign(ALICE))).toMatchObject({
      allowed: false,
      cause: { code: "ERR_POLICY_INVALID_KEY" },
    });
  });
});

function cutInto(text: string, length: number): string {
  return text.match(new RegExp(`.{1,${length}}`, "g"))?.join("\n") ?? "";
}

function derOf({ pem }: Signer): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
}
