import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { SigstoreSignature } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { judgeImage, judgeOne, payloadOf } from "./support/judged-image.ts";
import {
  bare,
  BUNDLE,
  CERTIFICATE,
  CHAIN,
  COSIGN_PAYLOAD,
  cosignSign,
  type Entry,
  flipBit,
  issue,
  type Issued,
  type IssueOptions,
  logEntry,
  makeSigner,
  sha256,
  SIGNATURE,
  type Signer,
  x509,
} from "./support/sigstore-signer.ts";

const ALICE = makeSigner();
const BOB = makeSigner();
const LOG = makeSigner();
const EMAIL = "alice@example.com";
const ISSUER = "https://issuer.example.com";

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
    ["S04 one with a line end", { [SIGNATURE]: (text: string) => `${text}\n` }],
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

describe("sigstoreSigned with Fulcio", () => {
  test("allows by whom the authority and the log vouch for, long after the certificate expired", async () => {
    const world = await fulcio();
    const { requirement, signature } = await world.signed({}, { daysAgo: 300 });
    expect(await judgeOne(requirement, signature)).toMatchObject({
      allowed: true,
      reason: `it is signed by ${EMAIL}, as ${ISSUER} says, for q.io/a/b:1`,
    });
  });

  test("the issuer may be named in the old way, in the new one, or in both", async () => {
    const world = await fulcio();
    for (const change of [{ issuerV1: ISSUER, issuerV2: undefined }, { issuerV1: ISSUER }, {}]) {
      const { requirement, signature } = await world.signed(change);
      expect((await judgeOne(requirement, signature)).allowed).toBe(true);
    }
  });

  test("an intermediate authority may come with the signature", async () => {
    const world = await fulcio();
    const middle = await issue(world.root, { authority: { pathLength: 0 } });
    const { requirement, signature } = await world.signed({}, { authority: middle });
    expect((await judgeOne(requirement, signature)).allowed).toBe(false);
    const chain = withAnnotation(signature, CHAIN, middle.pem + world.root.pem);
    expect((await judgeOne(requirement, chain)).allowed).toBe(true);
  });

  test.for([
    ["S10 another issuer", { issuerV2: "https://other.example.com" }, "untrusted"],
    ["S10 another e-mail address", { emails: ["bob@example.com"] }, "untrusted"],
    ["S10 the address in the subject only", { emails: [], subject: `E=${EMAIL}` }, "malformed"],
    ["S10 two addresses", { emails: [EMAIL, "bob@example.com"] }, "malformed"],
    ["S10 the address twice", { emails: [EMAIL, EMAIL] }, "malformed"],
    ["S10 an address and a host", { dns: ["example.com"] }, "malformed"],
    ["S10 a URI", { emails: [], uri: `mailto:${EMAIL}` }, "malformed"],
    ["S10 two issuers", { issuerV1: "https://other.example.com" }, "malformed"],
    ["S10 no issuer", { issuerV2: undefined }, "malformed"],
    [
      "S10 an issuer of text that is none",
      { issuerV2: undefined, more: [bare("1.3.6.1.4.1.57264.1.8", ISSUER)] },
      "malformed",
    ],
    [
      "S10 an extension that stands twice",
      { more: [bare("1.3.6.1.4.1.57264.1.8", ISSUER)] },
      "malformed",
    ],
    ["S10 no purpose", { noUsage: true }, "malformed"],
    ["S10 another purpose", { usages: [x509.ExtendedKeyUsage.serverAuth] }, "malformed"],
    ["S10 a key that may not sign", { keyUsage: x509.KeyUsageFlags.keyAgreement }, "malformed"],
    [
      "S10 an extension that must be understood",
      { more: [new x509.Extension("1.2.3.4", true, Buffer.from([5, 0]))] },
      "malformed",
    ],
    [
      "S11 an authority that signs itself",
      {
        authority: { pathLength: 0 },
        usages: [x509.ExtendedKeyUsage.codeSigning],
        keyUsage: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
      },
      "malformed",
    ],
    [
      "S10 one that was not valid yet",
      { notBefore: new Date(Date.now() + 5 * 60_000) },
      "malformed",
    ],
    ["S10 one that had expired", { notAfter: new Date(Date.now() - 30_000) }, "malformed"],
  ] as const)("%s does not count", async ([, change, fault]) => {
    const world = await fulcio();
    const { noUsage, ...options } = change as IssueOptions & { noUsage?: boolean };
    const { requirement, signature } = await world.signed(
      noUsage ? { ...options, usages: [] } : options,
    );
    expect(await judgeOne(requirement, signature)).toMatchObject({
      allowed: false,
      signatures: [{ accepted: false, fault }],
    });
  });

  test("S10 of several certificates, or none, nobody is vouched for", async () => {
    const world = await fulcio();
    const { requirement, signature } = await world.signed();
    const pem = signature.annotations[CERTIFICATE] ?? "";
    for (const text of [
      pem + world.root.pem,
      pem + pem,
      "",
      `text\n${pem}`,
      pem.replace("-----B", "----B"),
    ]) {
      const changed = withAnnotation(signature, CERTIFICATE, text);
      expect((await judgeOne(requirement, changed)).allowed).toBe(false);
    }
  });

  test("S13, V82 without the log's time nothing counts", async () => {
    const world = await fulcio();
    const { requirement, signature } = await world.signed();
    const { [BUNDLE]: _entry, ...annotations } = signature.annotations;
    expect((await judgeOne(requirement, { ...signature, annotations })).allowed).toBe(false);
  });

  test("V81 the certificate that was logged is the one that is used, whatever comes beside it", async () => {
    const world = await fulcio();
    const mallory = await issue(undefined, { emails: [EMAIL], issuerV2: ISSUER });
    const { requirement, signature } = await world.signed();
    for (const chain of [mallory.pem + world.root.pem, world.root.pem + mallory.pem]) {
      const beside = withAnnotation(signature, CHAIN, chain);
      expect((await judgeOne(requirement, beside)).allowed).toBe(true);
    }
    const own = await world.sign(mallory);
    for (const chain of [world.root.pem, mallory.pem + world.root.pem, mallory.pem + mallory.pem]) {
      const posing = withAnnotation(own, CHAIN, chain);
      expect(await judgeOne(requirement, posing)).toMatchObject({
        allowed: false,
        signatures: [{ fault: "untrusted" }],
      });
    }
  });

  test("S11 the last certificate of the chain is to be the root, and is never a link", async () => {
    const world = await fulcio();
    const middle = await issue(world.root, { authority: { pathLength: 0 } });
    const { requirement, signature } = await world.signed({}, { authority: middle });
    const chain = withAnnotation(signature, CHAIN, middle.pem);
    expect((await judgeOne(requirement, chain)).allowed).toBe(false);
  });

  test("S10 an extension that stands twice, word for word, does not count", async () => {
    const world = await fulcio();
    const twice = [bare("1.2.3.4", "a"), bare("1.2.3.4", "a")];
    const { requirement, signature } = await world.signed({ more: twice });
    expect(await judgeOne(requirement, signature)).toMatchObject({
      allowed: false,
      signatures: [{ reason: expect.stringContaining("1.2.3.4 twice") }],
    });
  });

  test("V80 another's logged certificate, or another's entry, does not help", async () => {
    const world = await fulcio();
    const one = await world.signed();
    const two = await world.signed();
    for (const key of [CERTIFICATE, BUNDLE, SIGNATURE]) {
      const changed = withAnnotation(one.signature, key, two.signature.annotations[key] ?? "");
      expect((await judgeOne(one.requirement, changed)).allowed).toBe(false);
    }
  });

  test.for([
    ["a leaf that certifies", {}, {}],
    [
      "an authority that may not certify",
      { authority: { pathLength: 0 }, keyUsage: x509.KeyUsageFlags.digitalSignature },
      {},
    ],
    [
      "a leaf that may certify, but is no authority",
      { keyUsage: x509.KeyUsageFlags.keyCertSign },
      {},
    ],
    [
      "an authority for other purposes",
      { authority: { pathLength: 0 }, usages: [x509.ExtendedKeyUsage.serverAuth] },
      {},
    ],
    [
      "an authority that had expired",
      { authority: { pathLength: 0 }, notAfter: new Date(Date.now() - 30_000) },
      {},
    ],
    [
      "a root with no room for another",
      { authority: { pathLength: 0 } },
      { authority: { pathLength: 0 } },
    ],
  ] as const)("S11 %s vouches for nobody", async ([, change, rootChange]) => {
    const world = await fulcio(rootChange);
    const middle = await issue(world.root, { subject: "CN=middle", ...(change as IssueOptions) });
    const { requirement, signature } = await world.signed({}, { authority: middle });
    const chain = withAnnotation(signature, CHAIN, middle.pem + world.root.pem);
    expect((await judgeOne(requirement, chain)).allowed).toBe(false);
  });

  test("S11 authorities that vouch for each other, and a hundred of them, come to an end", async () => {
    const world = await fulcio();
    const one = await issue(undefined, { authority: {}, subject: "CN=one" });
    const two = await issue(one, { authority: {}, subject: "CN=two" });
    const back = { ...one, pem: (await issue(two, { authority: {}, subject: "CN=one" })).pem };
    const { requirement, signature } = await world.signed({}, { authority: two });
    const loop = withAnnotation(signature, CHAIN, two.pem + one.pem + back.pem + world.root.pem);
    expect((await judgeOne(requirement, loop)).allowed).toBe(false);
    const many = withAnnotation(signature, CHAIN, two.pem.repeat(100) + world.root.pem);
    expect((await judgeOne(requirement, many)).allowed).toBe(false);
  });

  test("no flipped bit of a good certificate is accepted", async () => {
    const world = await fulcio();
    const { requirement, signature, leaf } = await world.signed();
    const der = Buffer.from(leaf.certificate.rawData);
    const changed = everyFlip(der, (flipped) =>
      withAnnotation(signature, CERTIFICATE, pemOf(flipped)),
    );
    expect(await acceptedAmong(requirement, changed)).toEqual([]);
  });
});

describe("sigstoreSigned with one's own authority", () => {
  test("allows whom it vouches for: by address, by host, or both", async () => {
    const world = await ownAuthority();
    const { signature, requirement } = world;
    for (const who of [
      { subjectEmail: EMAIL },
      { subjectHostname: "host.example.com" },
      { subjectEmail: EMAIL, subjectHostname: "host.example.com" },
    ]) {
      expect((await judgeOne(requirement(who), signature)).allowed).toBe(true);
    }
    for (const who of [
      { subjectEmail: "bob@example.com" },
      { subjectHostname: "other.example.com" },
      { subjectEmail: EMAIL, subjectHostname: "other.example.com" },
      { subjectEmail: "bob@example.com", subjectHostname: "host.example.com" },
    ]) {
      expect(await judgeOne(requirement(who), signature)).toMatchObject({
        allowed: false,
        signatures: [{ fault: "untrusted" }],
      });
    }
  });

  test("V88 a certificate counts while it is valid, and no longer", async () => {
    const { signature, requirement } = await ownAuthority();
    const now = (): Date => new Date(Date.now() + 60 * 60_000);
    expect((await judgeOne(requirement({ subjectEmail: EMAIL }), signature, { now })).allowed).toBe(
      false,
    );
  });

  test("takes intermediate authorities from the policy", async () => {
    const root = await issue(undefined, { authority: {} });
    const middle = await issue(root, { authority: {} });
    const leaf = await issue(middle, { emails: [EMAIL] });
    const signature = withAnnotation(cosignSign(leaf.signer), CERTIFICATE, leaf.pem);
    const pki = { caRootsData: base64(root.pem), subjectEmail: EMAIL };
    const without = { type: "sigstoreSigned", pki };
    expect((await judgeOne(without, signature)).allowed).toBe(false);
    const caIntermediatesData = base64(middle.pem);
    const withThem = { type: "sigstoreSigned", pki: { ...pki, caIntermediatesData } };
    expect((await judgeOne(withThem, signature)).allowed).toBe(true);
  });

  test("no flipped bit of a good certificate is accepted", async () => {
    const { signature, requirement, leaf } = await ownAuthority();
    const der = Buffer.from(leaf.certificate.rawData);
    const changed = everyFlip(der, (flipped) =>
      withAnnotation(signature, CERTIFICATE, pemOf(flipped)),
    );
    expect(await acceptedAmong(requirement({ subjectEmail: EMAIL }), changed)).toEqual([]);
  });

  test("S07, V88 RSA keys count from 2048 bits on, the signer's and every authority's", async () => {
    for (const [weak, bits] of [
      ["nobody", 2048],
      ["root", 1024],
      ["middle", 1024],
      ["leaf", 1024],
    ] as const) {
      const bitsOf = (who: string): number => (who === weak ? bits : 2048);
      const root = await issue(undefined, { authority: {}, rsaBits: bitsOf("root") });
      const middle = await issue(root, { authority: {}, rsaBits: bitsOf("middle") });
      const leaf = await issue(middle, { emails: [EMAIL], rsaBits: bitsOf("leaf") });
      const signature = withAnnotation(cosignSign(leaf.signer), CERTIFICATE, leaf.pem);
      const chained = withAnnotation(signature, CHAIN, middle.pem + root.pem);
      const pki = { caRootsData: base64(root.pem), subjectEmail: EMAIL };
      const { allowed } = await judgeOne({ type: "sigstoreSigned", pki }, chained);
      expect([weak, allowed]).toEqual([weak, weak === "nobody"]);
    }
  });

  test("S10 a certificate whose signature leaves out bits does not count", async () => {
    const world = await ownAuthority();
    let { leaf } = world;
    // Of a signature that ends with a bit of 0, leaving it out changes nothing but how it is written.
    while ((Buffer.from(leaf.certificate.rawData).at(-1) ?? 0) % 2 === 1)
      leaf = await world.issueLeaf();
    const whole = withAnnotation(cosignSign(leaf.signer), CERTIFICATE, leaf.pem);
    const requirement = world.requirement({ subjectEmail: EMAIL });
    expect((await judgeOne(requirement, whole)).allowed).toBe(true);
    const der = Buffer.from(leaf.certificate.rawData);
    const algorithm = Buffer.from("06082a8648ce3d040302", "hex");
    // Behind the tag and the length of the signature.
    der[der.lastIndexOf(algorithm) + algorithm.length + 2] = 1;
    const changed = withAnnotation(whole, CERTIFICATE, pemOf(der));
    expect(await judgeOne(requirement, changed)).toMatchObject({
      allowed: false,
      signatures: [{ fault: "malformed" }],
    });
  });

  test("a signature by another key than the certificate's does not count", async () => {
    const { requirement, leaf } = await ownAuthority();
    const signature = withAnnotation(cosignSign(ALICE), CERTIFICATE, leaf.pem);
    expect((await judgeOne(requirement({ subjectEmail: EMAIL }), signature)).allowed).toBe(false);
  });

  test("P05 an authority that is no certificate is a fault of the policy", async () => {
    const { signature } = await ownAuthority();
    const pki = { caRootsData: base64("hello"), subjectEmail: EMAIL };
    expect(await judgeOne({ type: "sigstoreSigned", pki }, signature)).toMatchObject({
      allowed: false,
      cause: { code: "ERR_POLICY_INVALID_KEY" },
    });
  });
});

interface SignedOptions {
  readonly daysAgo?: number;
  readonly authority?: Issued;
}

/** An authority, a log, and a policy that trusts both. */
async function fulcio(rootOptions: IssueOptions = {}) {
  const year = 365 * 86_400_000;
  const long = { notBefore: new Date(Date.now() - year), notAfter: new Date(Date.now() + year) };
  const root = await issue(undefined, {
    authority: {},
    subject: "CN=root",
    ...long,
    ...rootOptions,
  });
  const requirement = {
    type: "sigstoreSigned",
    fulcio: { caData: base64(root.pem), oidcIssuer: ISSUER, subjectEmail: EMAIL },
    rekorPublicKeyData: LOG.data,
  };
  const sign = async (leaf: Issued, time = new Date()): Promise<SigstoreSignature> => {
    const good = withAnnotation(cosignSign(leaf.signer), CERTIFICATE, leaf.pem);
    const signature = good.annotations[SIGNATURE] ?? "";
    return withAnnotation(good, BUNDLE, logEntry(LOG, { signature, verifier: leaf.pem, time }));
  };
  return {
    root,
    sign,
    async signed(change: IssueOptions = {}, { daysAgo = 0, authority = root }: SignedOptions = {}) {
      const time = new Date(Date.now() - daysAgo * 86_400_000);
      const validity = {
        notBefore: new Date(time.getTime() - 60_000),
        notAfter: new Date(time.getTime() + 9 * 60_000),
      };
      const leaf = await issue(authority, {
        emails: [EMAIL],
        issuerV2: ISSUER,
        ...validity,
        ...change,
      });
      return { requirement, leaf, signature: await sign(leaf, time) };
    },
  };
}

async function ownAuthority() {
  const root = await issue(undefined, { authority: {} });
  const issueLeaf = () => issue(root, { emails: [EMAIL], dns: ["host.example.com"] });
  const leaf = await issueLeaf();
  return {
    leaf,
    issueLeaf,
    signature: withAnnotation(cosignSign(leaf.signer), CERTIFICATE, leaf.pem),
    requirement: (who: object) => ({
      type: "sigstoreSigned",
      pki: { caRootsData: base64(root.pem), ...who },
    }),
  };
}

/** What is made of the bytes with each single bit turned. */
function everyFlip(
  bytes: Uint8Array,
  make: (flipped: Buffer) => SigstoreSignature,
): readonly SigstoreSignature[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => ({
    ...make(flipBit(bytes, bit)),
    origin: `bit ${bit}`,
  }));
}

async function acceptedAmong(
  requirement: object,
  signatures: readonly SigstoreSignature[],
): Promise<readonly string[]> {
  const { requirements } = await judgeImage([requirement], signatures);
  const verdicts = requirements[0]?.signatures ?? [];
  expect(verdicts).toHaveLength(signatures.length);
  return verdicts.filter(({ accepted }) => accepted).map(({ origin }) => origin);
}

function withAnnotation(
  signature: SigstoreSignature,
  key: string,
  value: string,
): SigstoreSignature {
  return { ...signature, annotations: { ...signature.annotations, [key]: value } };
}

function derOf({ pem }: Signer): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
}

function pemOf(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
