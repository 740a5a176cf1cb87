import type { SigstoreSignature } from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { acceptedAmong, base64, withAnnotation } from "./support/changed-signature.ts";
import { certified, EMAIL, withFlippedCertificate } from "./support/certified-signature.ts";
import { judgeOne } from "./support/judged-image.ts";
import {
  bare,
  BUNDLE,
  CERTIFICATE,
  CHAIN,
  issue,
  type Issued,
  type IssueOptions,
  logEntry,
  makeSigner,
  SIGNATURE,
  x509,
} from "./support/sigstore-signer.ts";

const LOG = makeSigner();
const ISSUER = "https://issuer.example.com";

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
    ["S10 nothing said of purposes", { noUsages: true }, "malformed"],
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

  test("S10 what a certificate says is shown without what terminals take for orders", async () => {
    const world = await fulcio();
    const issuerV2 = "https://evil.example\u001b[2J";
    const { requirement, signature } = await world.signed({ issuerV2 });
    const { allowed, reason } = await judgeOne(requirement, signature);
    expect(allowed).toBe(false);
    expect(reason).toContain("https://evil.example");
    expect(reason).not.toContain("\u001b");
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

  test("the chain may end without a line end, as cosign writes it", async () => {
    const world = await fulcio();
    const { requirement, signature } = await world.signed();
    const chain = withAnnotation(signature, CHAIN, world.root.pem.trimEnd());
    expect((await judgeOne(requirement, chain)).allowed).toBe(true);
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
    const changed = withFlippedCertificate(signature, leaf);
    expect(await acceptedAmong(requirement, changed)).toEqual([]);
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
    const good = certified(leaf);
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
