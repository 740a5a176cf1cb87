import { generateKeyPairSync } from "node:crypto";

import { parsePolicy } from "@stowage/policy";
import { beforeAll, describe, expect, test } from "vitest";

import {
  type BundleJson,
  bundleSignature,
  ISSUER,
  openSigstore,
  type Sigstore,
  statementOf,
  WORKFLOW,
} from "./support/bundle-signer.ts";
import { judgeImage, judgeOne } from "./support/judged-image.ts";

const SLSA = "https://slsa.dev/provenance/v1";

describe("sigstoreBundle with a workflow's identity", () => {
  let sigstore: Sigstore;
  let trusted: object;

  beforeAll(async () => {
    sigstore = await openSigstore();
    trusted = requirement({ subject: WORKFLOW });
  });

  function requirement(identity: object, more: object = {}): object {
    return {
      type: "sigstoreBundle",
      identity: { issuer: ISSUER, ...identity },
      trustedRootData: sigstore.rootData,
      ...more,
    };
  }

  test.for([
    ["a promise and a proof of Rekor", {}],
    ["a proof of Rekor v2 and a timestamp", { log: "v2" }],
    ["a proof of Rekor v2 that tells of an envelope", { log: "v2-dsse" }],
    ["a proof without a promise, and a timestamp", { promise: false, timestamp: true }],
    ["a timestamp with its certificate", { timestamp: true, embedded: true }],
    ["a promise of Rekor and a timestamp", { timestamp: true }],
  ] as const)("allows by a bundle with %s, without a network", async ([, options]) => {
    const bundle = await sigstore.bundle(options);
    expect(await judgeOne(trusted, bundleSignature(bundle))).toMatchObject({
      allowed: true,
      reason: `it is signed by ${WORKFLOW}, as ${ISSUER} says`,
    });
  });

  test.for([
    ["no log", { log: "none" }],
    ["no log, but a timestamp", { log: "none", timestamp: true }],
    ["a log without a time", { log: "v2", timestamp: false }],
  ] as const)("V82, S14 a bundle with %s does not count", async ([, options]) => {
    const bundle = await sigstore.bundle(options);
    expect((await judgeOne(trusted, bundleSignature(bundle))).allowed).toBe(false);
  });

  test.for([
    ["https://github.com/o/r/.github/workflows/build.yml@refs/tags/v*", true],
    ["https://github.com/o/*/.github/workflows/*@refs/tags/*", true],
    ["https://github.com/o/**", true],
    ["https://github.com/o/*", false],
    ["https://github.com/o/r/.github/workflows/build.yml@refs/heads/*", false],
    ["https://github.com/o/r/.github/workflows/buildXyml@refs/tags/v*", false],
    ["https://github.com/oo/**", false],
    ["https://github.com.evil/**", false],
  ] as const)("the pattern %s comes to %s", async ([subjectPattern, allowed]) => {
    const bundle = bundleSignature(await sigstore.bundle());
    expect((await judgeOne(requirement({ subjectPattern }), bundle)).allowed).toBe(allowed);
  });

  test.for([
    ["another workflow", { subject: WORKFLOW.replace("v1.2.3", "v9") }],
    ["another issuer", { issuer: "https://other.example.com" }],
  ] as const)("%s is not trusted", async ([, options]) => {
    const bundle = bundleSignature(await sigstore.bundle(options));
    expect(await judgeOne(trusted, bundle)).toMatchObject({
      allowed: false,
      signatures: [{ fault: "untrusted" }],
    });
  });

  test("another instance's bundles are not trusted", async () => {
    const other = await openSigstore();
    expect((await judgeOne(trusted, bundleSignature(await other.bundle()))).allowed).toBe(false);
  });

  test.for([
    ["S02 about another image", { subject: [{ digest: { sha256: "0".repeat(64) } }] }, "mismatch"],
    ["S02 about nothing", { subject: [] }, "mismatch"],
    [
      "S02 about the image by another algorithm",
      { subject: [{ digest: { sha512: "0" } }] },
      "mismatch",
    ],
    ["V84 that is an attestation", { predicateType: SLSA }, "mismatch"],
    ["V84 that is no statement", { _type: "other" }, "malformed"],
  ] as const)("%s it does not count", async ([, change, fault]) => {
    const bundle = bundleSignature(await sigstore.bundle({ statement: statementOf(change) }));
    expect(await judgeOne(trusted, bundle)).toMatchObject({
      allowed: false,
      signatures: [{ fault }],
    });
  });

  test("V84 over a file, or of an older version, it does not count, and the verdict says what would", async () => {
    const { dsseEnvelope, ...bundle } = await sigstore.bundle();
    const digest = { algorithm: "SHA2_256", digest: "AAAA" };
    const signature = dsseEnvelope.signatures[0].sig;
    const file = { ...bundle, messageSignature: { messageDigest: digest, signature } };
    expect(await judgeOne(trusted, bundleSignature(file))).toMatchObject({
      allowed: false,
      remedy: expect.stringContaining("cosign sign,"),
    });
    const mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.2";
    const older = { ...bundle, dsseEnvelope, mediaType };
    expect(await judgeOne(trusted, bundleSignature(older))).toMatchObject({
      allowed: false,
      reason: expect.stringContaining("version=0.2"),
      remedy: expect.stringContaining("cosign 3"),
    });
  });

  test("V82 with a time that no log promised it does not count", async () => {
    const bundle = await sigstore.bundle({ promise: false, timestamp: true });
    bundle.verificationMaterial.tlogEntries[0].integratedTime = "1700000000";
    expect((await judgeOne(trusted, bundleSignature(bundle))).allowed).toBe(false);
  });

  test("V84 of another payload type it does not count", async () => {
    const bundle = await sigstore.bundle({ payloadType: "text/plain" });
    expect((await judgeOne(trusted, bundleSignature(bundle))).allowed).toBe(false);
  });

  test("an attestation can be asked for, with who built the image", async () => {
    const id = "https://github.com/o/builder@refs/tags/v1";
    const predicate = { runDetails: { builder: { id } } };
    const statement = statementOf({ predicateType: SLSA, predicate });
    const bundle = bundleSignature(await sigstore.bundle({ statement }));
    const attested = (more: object): object =>
      requirement({ subject: WORKFLOW }, { predicateType: SLSA, ...more });
    expect((await judgeOne(attested({}), bundle)).allowed).toBe(true);
    expect((await judgeOne(attested({ builderId: id }), bundle)).allowed).toBe(true);
    expect(await judgeOne(attested({ builderId: `${id}2` }), bundle)).toMatchObject({
      allowed: false,
      signatures: [{ fault: "mismatch", reason: expect.stringContaining(id) }],
    });
    expect((await judgeOne(attested({ predicateType: "other" }), bundle)).allowed).toBe(false);
  });

  test("a threshold asks for different signers", async () => {
    const subjectPattern = "https://github.com/o/r/.github/workflows/*@refs/tags/*";
    const two = requirement({ subjectPattern }, { threshold: 2 });
    const one = bundleSignature(await sigstore.bundle());
    const again = bundleSignature(await sigstore.bundle());
    const other = bundleSignature(
      await sigstore.bundle({ subject: WORKFLOW.replace("build", "test") }),
    );
    expect((await judgeImage([two], [one, again])).allowed).toBe(false);
    expect((await judgeImage([two], [one, other])).allowed).toBe(true);
  });

  test("V80 no part of one bundle helps another", async () => {
    for (const log of ["v1", "v2"] as const) {
      const [one, two] = [await sigstore.bundle({ log }), await sigstore.bundle({ log })];
      const parts: readonly ((bundle: BundleJson, other: BundleJson) => void)[] = [
        (bundle, other) =>
          (bundle.verificationMaterial.certificate = other.verificationMaterial.certificate),
        (bundle, other) =>
          (bundle.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries),
        (bundle, other) => (bundle.dsseEnvelope.signatures = other.dsseEnvelope.signatures),
      ];
      for (const part of parts) {
        const mixed = structuredClone(one);
        part(mixed, two);
        expect((await judgeOne(trusted, bundleSignature(mixed))).allowed).toBe(false);
      }
    }
  });
});

describe("sigstoreBundle with a trusted root", () => {
  async function judgeWith(change: (root: Root) => void) {
    const sigstore = await openSigstore();
    const root = structuredClone(sigstore.trustedRoot) as unknown as Root;
    change(root);
    const rule = {
      type: "sigstoreBundle",
      identity: { issuer: ISSUER, subject: WORKFLOW },
      trustedRootData: Buffer.from(JSON.stringify(root)).toString("base64"),
    };
    return await judgeOne(rule, bundleSignature(await sigstore.bundle()));
  }

  test("takes one that says null for what it does not say, as some write it", async () => {
    const verdict = await judgeWith(({ tlogs, certificateAuthorities }) => {
      for (const log of tlogs) {
        log.checkpointKeyId = null;
        log.publicKey.validFor.end = null;
      }
      for (const authority of certificateAuthorities) authority.validFor.end = null;
    });
    expect(verdict.allowed).toBe(true);
  });

  test("takes one that names logs with keys of RSA, or of kinds that nobody knows, beside others", async () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const rawBytes = publicKey.export({ format: "der", type: "pkcs1" }).toString("base64");
    const verdict = await judgeWith(({ tlogs, ctlogs }) => {
      for (const logs of [tlogs, ctlogs]) {
        const [log] = structuredClone(logs);
        if (log === undefined) continue;
        const keyId = Buffer.alloc(32).toString("base64");
        const publicKeyOf = (keyDetails: string) => ({ ...log.publicKey, keyDetails, rawBytes });
        logs.push({ ...log, logId: { keyId }, publicKey: publicKeyOf("PKCS1_RSA_PKCS1V5") });
        logs.push({ ...log, logId: { keyId }, publicKey: publicKeyOf("A_KIND_OF_2040") });
      }
    });
    expect(verdict.allowed).toBe(true);
  });

  test.for([
    ["whose logs all have keys of unknown kinds", "tlogs", { keyDetails: "A_KIND_OF_2040" }],
    ["whose certificate logs all have", "ctlogs", { keyDetails: "A_KIND_OF_2040" }],
    ["with a log that was always valid", "tlogs", { validFor: {} }],
    ["with a log that does not say since when it was", "tlogs", { validFor: undefined }],
  ] as const)("takes none %s", async ([, name, change]) => {
    const verdict = await judgeWith((root) => {
      for (const log of root[name]) Object.assign(log.publicKey, change);
    });
    expect(verdict).toMatchObject({ allowed: false, cause: { code: "ERR_POLICY_INVALID_KEY" } });
  });

  interface Root {
    readonly tlogs: Log[];
    readonly ctlogs: Log[];
    readonly certificateAuthorities: { validFor: { end?: string | null } }[];
  }
  interface Log {
    checkpointKeyId?: object | null;
    logId: { keyId: string };
    publicKey: { validFor: { end?: string | null }; keyDetails: string; rawBytes: string };
  }
});

describe("sigstoreBundle with keys", () => {
  test("allows by a bundle of one of them; with a root, only with its log", async () => {
    const sigstore = await openSigstore();
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = publicKey.export({ format: "pem", type: "spki" }).toString();
    const keyData = Buffer.from(pem).toString("base64");
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const bare = { type: "sigstoreBundle", keyData };
    const logged = { ...bare, trustedRootData: sigstore.rootData };
    const offline = bundleSignature(await sigstore.bundle({ key: privateKey, log: "none" }));
    const online = bundleSignature(await sigstore.bundle({ key: privateKey }));
    const byOther = bundleSignature(await sigstore.bundle({ key: other }));
    const keyless = bundleSignature(await sigstore.bundle());
    const came = async (rule: object): Promise<readonly boolean[]> =>
      Promise.all(
        [offline, online, byOther, keyless].map(async (one) => (await judgeOne(rule, one)).allowed),
      );
    expect(await came(bare)).toEqual([true, true, false, false]);
    expect(await came(logged)).toEqual([false, true, false, false]);
  });
});

describe("sigstoreBundle refuses", () => {
  const identity = { issuer: ISSUER, subject: WORKFLOW };
  const base = { type: "sigstoreBundle", identity, trustedRootPath: "/r" };

  test.for([
    ["no root for an identity", { ...base, trustedRootPath: undefined }],
    ["two roots", { ...base, trustedRootData: "YQ==" }],
    ["no trust", { type: "sigstoreBundle", trustedRootPath: "/r" }],
    ["an identity and a key", { ...base, keyPath: "/k" }],
    ["no issuer", { ...base, identity: { subject: WORKFLOW } }],
    ["no subject", { ...base, identity: { issuer: ISSUER } }],
    ["two subjects", { ...base, identity: { ...identity, subjectPattern: WORKFLOW } }],
    ["a pattern without a host", { ...base, identity: { issuer: ISSUER, subjectPattern: "**" } }],
    [
      "a pattern of hosts",
      { ...base, identity: { issuer: ISSUER, subjectPattern: "https://*/o" } },
    ],
    ["a pattern of addresses", { ...base, identity: { issuer: ISSUER, subjectPattern: "*@*" } }],
    ["a builder without a provenance", { ...base, builderId: "b" }],
    ["a threshold of none", { ...base, threshold: 0 }],
    ["a name to be signed for", { ...base, signedIdentity: { type: "matchExact" } }],
  ] as const)("%s", ([, rule]) => {
    expect(() => parsePolicy(JSON.stringify({ default: [rule] }))).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
    );
  });

  test.for([
    "hello",
    "{}",
    '{"mediaType":"a"}',
    rootWith({ tlogs: [{}] }),
    rootWith({ ctlogs: 1 }),
  ])("a root that is %s, as a fault of the policy", async (text) => {
    const trustedRootData = Buffer.from(text).toString("base64");
    const rule = { type: "sigstoreBundle", identity, trustedRootData };
    const { requirements } = await judgeImage([rule], []);
    expect(requirements).toMatchObject([{ cause: { code: "ERR_POLICY_INVALID_KEY" } }]);
  });
});

function rootWith(fields: object): string {
  return JSON.stringify({
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    ...fields,
  });
}
