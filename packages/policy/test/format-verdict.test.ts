import { formatVerdict, type ImageSignature, type SignaturePlace } from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { judgeImage, payloadOf, simpleSignature } from "./support/judged-image.ts";
import { COSIGN_PAYLOAD, cosignSign, makeSigner } from "./support/sigstore-signer.ts";

const ALICE = makeSigner();
const BOB = makeSigner();
const BY_KEY = { type: "sigstoreSigned", keyData: ALICE.data };
const GPG = { type: "signedBy", keyType: "GPGKeys", keyPaths: [] };
const OFF =
  "nobody looked beside the image, since /etc/r does not set use-sigstore-attachments for q.io";

describe("formatVerdict", () => {
  test("tells all of a verdict, line by line", async () => {
    const places = [
      { kind: "lookaside", location: "file:///srv", found: 0 },
      { kind: "attachments", location: "q.io/a/b:sig", found: 1 },
    ] as const;
    const audit = { type: "audit", requirements: [{ type: "reject" }] };
    const verdict = await judgeImage([audit, BY_KEY], [cosignSign(BOB)], { places });
    expect(formatVerdict(verdict).split("\n")).toEqual([
      "q.io/a/b:1 is REJECTED by the policy",
      expect.stringMatching(/^ {2}manifest: sha256:/),
      "  scope: the default, because no scope of docker covers it",
      expect.stringMatching(/nearer ones that the policy does not have: "q.io\/a\/b:1", .*""$/),
      "  lookaside: file:///srv: 0",
      "  attachments: q.io/a/b:sig: 1",
      expect.stringMatching(/^ {2}requirement 1 of 2, audit: allows: /),
      "    1 of 1, reject: DENIES: it denies every image",
      expect.stringMatching(/^ {2}requirement 2 of 2, sigstoreSigned: DENIES: /),
      "    sigstore-attachment at test does not count (untrusted)",
      expect.stringMatching(/^ {4}to pass: /),
      "  only reported: reject: it denies every image",
    ]);
  });

  test("says of each of several signatures why it does not count, and of the only one once", async () => {
    const [one, two] = [cosignSign(BOB), { ...cosignSign(ALICE), mimeType: "text/plain" }];
    const reasonOf = async (...signatures: ImageSignature[]): Promise<number> => {
      const text = formatVerdict(await judgeImage([BY_KEY], signatures));
      return text.split("by none of the policy's keys").length - 1;
    };
    expect(await reasonOf(one)).toBe(1);
    expect(await reasonOf(one, two)).toBe(2);
  });

  test("writes nothing of a stranger's that a terminal would obey", async () => {
    const payload = payloadOf({ type: COSIGN_PAYLOAD, name: "q.io/a\u001b[31m" });
    const text = formatVerdict(await judgeImage([BY_KEY], [cosignSign(ALICE, { payload })]));
    expect(text).not.toContain("\u001b");
    expect(text).toContain("\\u{1b}");
  });

  // What people do wrong most often, and the words that tell them what to do.
  test.for<
    readonly [
      string,
      readonly object[],
      readonly ImageSignature[],
      readonly SignaturePlace[],
      RegExp,
    ]
  >([
    ["no scope trusts it", [{ type: "reject" }], [], [], /requirement 1 of 1, reject: DENIES/],
    [
      "it is not signed",
      [GPG],
      [],
      [{ kind: "lookaside", location: "file:///s", found: 0, statedBy: "by X", remedy: "Do Y." }],
      /lookaside: file:\/\/\/s \(by X\): 0\n(?![^]*by X)[^]*there is none in file:\/\/\/s\n[^]*to pass: Do Y\./,
    ],
    [
      "the store kept no signature",
      [GPG],
      [],
      [{ kind: "store", location: "the store", found: 0 }],
      /none in the store\n[^]*to pass: Have the image signed if it is not, and pull it again/,
    ],
    [
      "attachments are off",
      [BY_KEY],
      [],
      [{ kind: "attachments", location: "t", skipped: OFF }],
      /to pass: Set use-sigstore-attachments: true/,
    ],
    [
      "another key signed it",
      [BY_KEY],
      [cosignSign(BOB)],
      [],
      /by none of the policy's keys[^]*add the signer's public key/,
    ],
    [
      "cosign's bare name",
      [BY_KEY],
      [cosignSign(ALICE, { payload: payloadOf({ type: COSIGN_PAYLOAD, name: "q.io/a/b" }) })],
      [],
      /to pass: .*"matchRepository"/,
    ],
    [
      "it was signed as another tag",
      [BY_KEY],
      [cosignSign(ALICE, { payload: payloadOf({ type: COSIGN_PAYLOAD, name: "q.io/a/b:2" }) })],
      [],
      /to pass: Have it signed as q\.io\/a\/b:1 as well, or ask for it as q\.io\/a\/b:2;/,
    ],
    [
      "the tag has moved",
      [BY_KEY],
      [cosignSign(ALICE, { payload: payloadOf({ type: COSIGN_PAYLOAD, digest: "sha256:0" }) })],
      [],
      /to pass: Have this very manifest signed\. Of an index/,
    ],
    [
      "it is signed with sigstore",
      [GPG],
      [cosignSign(ALICE)],
      [],
      /to pass: The image is signed with sigstore/,
    ],
    [
      "it is signed with GPG",
      [BY_KEY],
      [simpleSignature(Buffer.of(0x90))],
      [],
      /there are others: 1 of the format simple-signing[^]*to pass: .*"signedBy"/,
    ],
    [
      "it is signed with GPG, and attachments are off",
      [BY_KEY],
      [simpleSignature(Buffer.of(0x90))],
      [{ kind: "attachments", location: "t", skipped: OFF }],
      /to pass: Set use-sigstore-attachments: true.*"signedBy"/,
    ],
    [
      "the key file is missing",
      [{ type: "sigstoreSigned", keyPath: "/none.pub" }],
      [],
      [],
      /\/none\.pub is not there[^]*to pass: Put there/,
    ],
  ])("says how to mend it where %s", async ([, requirements, signatures, places, words]) => {
    expect(formatVerdict(await judgeImage(requirements, signatures, { places }))).toMatch(words);
  });
});
