import { describe, expect, test } from "vitest";

import { acceptedAmong, base64, pemOf, withAnnotation } from "./support/changed-signature.ts";
import { certified, EMAIL, withFlippedCertificate } from "./support/certified-signature.ts";
import { judgeOne } from "./support/judged-image.ts";
import {
  CERTIFICATE,
  CHAIN,
  cosignSign,
  issue,
  makeSigner,
  x509,
} from "./support/sigstore-signer.ts";

const ALICE = makeSigner();

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

  test("takes a certificate that says nothing of what it is for, and none for other things", async () => {
    const root = await issue(undefined, { authority: {} });
    const requirement = {
      type: "sigstoreSigned",
      pki: { caRootsData: base64(root.pem), subjectEmail: EMAIL },
    };
    for (const [change, allowed] of [
      [{ noUsages: true }, true],
      [{ usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.codeSigning] }, true],
      [{ usages: [x509.ExtendedKeyUsage.serverAuth] }, false],
      [{ usages: [] }, false],
    ] as const) {
      const leaf = await issue(root, { emails: [EMAIL], ...change });
      const signature = certified(leaf);
      expect((await judgeOne(requirement, signature)).allowed).toBe(allowed);
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
    const signature = certified(leaf);
    const pki = { caRootsData: base64(root.pem), subjectEmail: EMAIL };
    const without = { type: "sigstoreSigned", pki };
    expect((await judgeOne(without, signature)).allowed).toBe(false);
    const caIntermediatesData = base64(middle.pem);
    const withThem = { type: "sigstoreSigned", pki: { ...pki, caIntermediatesData } };
    expect((await judgeOne(withThem, signature)).allowed).toBe(true);
  });

  test("no flipped bit of a good certificate is accepted", async () => {
    const { signature, requirement, leaf } = await ownAuthority();
    const changed = withFlippedCertificate(signature, leaf);
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
      const signature = certified(leaf);
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
    const whole = certified(leaf);
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

async function ownAuthority() {
  const root = await issue(undefined, { authority: {} });
  const issueLeaf = () => issue(root, { emails: [EMAIL], dns: ["host.example.com"] });
  const leaf = await issueLeaf();
  return {
    leaf,
    issueLeaf,
    signature: certified(leaf),
    requirement: (who: object) => ({
      type: "sigstoreSigned",
      pki: { caRootsData: base64(root.pem), ...who },
    }),
  };
}
