import type { SigstoreSignature } from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { acceptedAmong, everyFlip, withAnnotation } from "./support/changed-signature.ts";
import { judgeOne } from "./support/judged-image.ts";
import {
  BUNDLE,
  cosignSign,
  type Entry,
  logEntry,
  makeSigner,
  sha256,
  SIGNATURE,
  type Signer,
} from "./support/sigstore-signer.ts";

const ALICE = makeSigner();
const BOB = makeSigner();
const LOG = makeSigner();

function byKey(...signers: readonly Signer[]): object {
  return { type: "sigstoreSigned", keyDatas: signers.map(({ data }) => data) };
}

describe("sigstoreSigned with keys and a log", () => {
  const requirement: object = {
    ...byKey(BOB, ALICE),
    rekorPublicKeyDatas: [makeSigner().data, LOG.data],
  };

  function logged(changeEntry?: (entry: Entry) => Entry, log = LOG): SigstoreSignature {
    const good = cosignSign(ALICE);
    const signature = good.annotations[SIGNATURE] ?? "";
    const entry = logEntry(log, {
      signature,
      verifier: ALICE.pem,
      ...(changeEntry && { changeEntry }),
    });
    return withAnnotation(good, BUNDLE, entry);
  }

  test("allows by a signature that the log promised to have", async () => {
    expect((await judgeOne(requirement, logged())).allowed).toBe(true);
  });

  test("S13 denies one without the log's promise, or with that of another log", async () => {
    expect((await judgeOne(requirement, cosignSign(ALICE))).allowed).toBe(false);
    expect(await judgeOne(requirement, logged(undefined, makeSigner()))).toMatchObject({
      allowed: false,
      signatures: [{ fault: "untrusted" }],
    });
  });

  test("V80, S12 the promised entry must be about this payload, this signature and this key", async () => {
    const other = cosignSign(BOB);
    const changes: readonly ((entry: Entry) => void)[] = [
      (entry) => (entry.spec.data.hash.value = sha256("other")),
      (entry) => (entry.spec.signature.content = other.annotations[SIGNATURE] ?? ""),
      (entry) => (entry.spec.signature.publicKey.content = BOB.data),
      (entry) => (entry.spec.data.hash.algorithm = "sha512"),
      (entry) => (entry.kind = "intoto"),
      (entry) => (entry.apiVersion = "0.0.2"),
      (entry) => Object.assign(entry, { more: 1 }),
      (entry) => Object.assign(entry.spec, { more: 1 }),
      (entry) => (entry.spec.signature.publicKey.content = "aGVsbG8="),
    ];
    for (const change of changes) {
      const signature = logged((entry) => {
        change(entry);
        return entry;
      });
      expect(await judgeOne(requirement, signature)).toMatchObject({
        allowed: false,
        signatures: [{ fault: "malformed" }],
      });
    }
  });

  test("S14, V82 a time of the future, or none, is no time", async () => {
    for (const time of [new Date(Date.now() + 10 * 365 * 86_400_000), new Date(0)]) {
      const good = cosignSign(ALICE);
      const signature = good.annotations[SIGNATURE] ?? "";
      const entry = logEntry(LOG, { signature, verifier: ALICE.pem, time });
      expect((await judgeOne(requirement, withAnnotation(good, BUNDLE, entry))).allowed).toBe(
        false,
      );
    }
  });

  test.for([
    [
      "an escape",
      (text: string) => text.replace('"logID":"', '"logID":"\\u0030').replace(/(\\u0030)./, "$1"),
    ],
    ["an escaped key", (text: string) => text.replace('"body"', '"\\u0062ody"')],
    ["an exponent", (text: string) => text.replace(/"logIndex":7/, '"logIndex":7e0')],
    ["a fraction", (text: string) => text.replace(/"logIndex":7/, '"logIndex":7.0')],
    ["a repeated key", (text: string) => text.replace('"logIndex":7', '"logIndex":7,"logIndex":7')],
    ["a key too many", (text: string) => text.replace('"logIndex":7', '"logIndex":7,"a":1')],
    ["a key of another case", (text: string) => text.replace('"body"', '"Body"')],
    ["a number that is text", (text: string) => text.replace('"logIndex":7', '"logIndex":"7"')],
    ["text behind it", (text: string) => `${text}{}`],
    ["two bundles", (text: string) => `[${text},${text}]`],
    ["nothing", () => ""],
  ] as const)("S12, S13 a promise with %s is malformed", async ([, change]) => {
    const good = logged();
    const changed = withAnnotation(good, BUNDLE, change(good.annotations[BUNDLE] ?? ""));
    expect((await judgeOne(requirement, changed)).allowed).toBe(false);
  });

  test("the order of its keys is not signed, and does not matter", async () => {
    const good = logged();
    const { SignedEntryTimestamp, Payload } = JSON.parse(good.annotations[BUNDLE] ?? "") as Record<
      string,
      unknown
    >;
    const text = ` ${JSON.stringify({ Payload, SignedEntryTimestamp })}\n`;
    expect((await judgeOne(requirement, withAnnotation(good, BUNDLE, text))).allowed).toBe(true);
  });

  test("no flipped bit of a good promise is accepted", async () => {
    const requirement = { ...byKey(ALICE), rekorPublicKeyData: LOG.data };
    const good = logged();
    const bytes = Buffer.from(good.annotations[BUNDLE] ?? "");
    const changed = everyFlip(bytes, (flipped) =>
      withAnnotation(good, BUNDLE, flipped.toString("latin1")),
    );
    expect(await acceptedAmong(requirement, changed)).toEqual([]);
  });
});
