import { beforeAll, describe, expect, test } from "vitest";

import { bundleSignature, ISSUER, openSigstore, type Sigstore } from "./support/bundle-signer.ts";
import { judgeOne } from "./support/judged-image.ts";
import { issue, type Issued, type IssueOptions, x509 } from "./support/sigstore-signer.ts";

const URI = "https://github.com/acme/app";
const ADDRESS = "dev@acme.example";
const ISSUED_BY = { issuerV1: ISSUER, issuerV2: ISSUER };
const { codeSigning, emailProtection, serverAuth } = x509.ExtendedKeyUsage;
const AUTHORITY: IssueOptions = { authority: {}, notBefore: new Date(Date.now() - 3_600_000) };
/** Names of hosts below github.com are left out. */
const CONSTRAINT = new x509.Extension(
  "2.5.29.30",
  true,
  Buffer.from("3012a110300e860c6769746875622e636f6d", "hex"),
);

describe("a bundle's certificate", () => {
  let sigstore: Sigstore;
  let root: Issued;

  beforeAll(async () => {
    sigstore = await openSigstore();
    root = await issue(undefined, AUTHORITY);
  });

  async function judge(
    leaf: Issued,
    identity: object,
    ...chain: readonly Issued[]
  ): ReturnType<typeof judgeOne> {
    const [authority] = sigstore.trustedRoot["certificateAuthorities"] as readonly object[];
    const certificates = [...chain, root].map(({ certificate }) => ({
      rawBytes: Buffer.from(certificate.rawData).toString("base64"),
    }));
    const trustedRoot = {
      ...sigstore.trustedRoot,
      // Another authority comes first, as after a change of keys.
      certificateAuthorities: [authority, { ...authority, certChain: { certificates } }],
      ctlogs: [],
    };
    const trustedRootData = Buffer.from(JSON.stringify(trustedRoot)).toString("base64");
    const requirement = {
      type: "sigstoreBundle",
      identity: { issuer: ISSUER, ...identity },
      trustedRootData,
    };
    return await judgeOne(requirement, bundleSignature(await sigstore.bundle({ leaf })));
  }

  const uri: IssueOptions = { uri: URI, ...ISSUED_BY };

  test.for([
    ["for signing code", uri, true],
    ["for servers", { ...uri, usages: [serverAuth] }, false],
    ["for mail", { ...uri, usages: [emailProtection] }, false],
    ["for servers and for signing code", { ...uri, usages: [serverAuth, codeSigning] }, true],
    ["that does not say what it is for", { ...uri, noUsages: true }, false],
    ["of an authority", { ...uri, authority: {}, usages: [codeSigning] }, false],
  ] as const)("V82 %s", async ([, options, allowed]) => {
    const verdict = await judge(await issue(root, options), { subject: URI });
    expect(verdict.allowed).toBe(allowed);
    if (!allowed) expect(verdict.reason).toMatch(/not for signing code|that of an authority/);
  });

  test.for([
    ["that may sign code", { authority: {}, usages: [codeSigning] }, true],
    ["that may sign nothing", { authority: {}, usages: [serverAuth] }, false],
    ["that constrains names", { authority: {}, more: [CONSTRAINT] }, false],
    ["that may have no other below it", { authority: { pathLength: 0 } }, true],
  ] as const)("V82 by an authority %s", async ([, options, allowed]) => {
    const between = await issue(root, { ...AUTHORITY, ...options });
    const verdict = await judge(await issue(between, uri), { subject: URI }, between);
    expect(verdict.allowed).toBe(allowed);
  });

  test.for([
    ["an address, by an address", { emails: [ADDRESS] }, { subject: ADDRESS }, true],
    ["an address, by a pattern", { emails: [ADDRESS] }, { subjectPattern: "*@acme.example" }, true],
    ["a URI like an address", { uri: ADDRESS }, { subject: ADDRESS }, false],
    [
      "a URI that ends so",
      { uri: `https:evil@acme.example` },
      { subjectPattern: "*@acme.example" },
      false,
    ],
    [
      "a URI below a host",
      { uri: "https://evil.example/a@acme.example" },
      { subjectPattern: "**@acme.example" },
      false,
    ],
    [
      "an address like a URI",
      { emails: [URI] },
      { subjectPattern: "https://github.com/**" },
      false,
    ],
    ["an address that is a URI", { emails: [URI] }, { subject: URI }, false],
  ] as const)("V82 for %s", async ([, names, identity, allowed]) => {
    const leaf = await issue(root, { ...ISSUED_BY, ...names });
    expect((await judge(leaf, identity)).allowed).toBe(allowed);
  });

  test("with a subject that many stars fit in many ways is judged at once", async () => {
    const leaf = await issue(root, {
      ...ISSUED_BY,
      uri: `https://github.com/${"a".repeat(5000)}!`,
    });
    const stars = "https://github.com/" + "**a".repeat(30) + "b";
    expect((await judge(leaf, { subjectPattern: stars })).allowed).toBe(false);
    expect((await judge(leaf, { subjectPattern: stars.replace(/b$/, "!") })).allowed).toBe(true);
  });
});
