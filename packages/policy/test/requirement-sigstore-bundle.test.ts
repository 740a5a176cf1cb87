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
import { flipBit } from "./support/sigstore-signer.ts";

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

  test.for(["v1", "v2"] as const)(
    "no field of a good bundle (log %s) can be changed, and no bit of its bytes",
    async (log) => {
      const good = await sigstore.bundle({ log });
      const changed = [...everyChange(good)];
      const { requirements } = await judgeImage([trusted], changed);
      const accepted = (requirements[0]?.signatures ?? []).filter((verdict) => verdict.accepted);
      // The verifier goes by the signed checkpoint and by what the promise or the timestamp says:
      // what is said beside them means nothing. Nobody signs the wrapper of a timestamp either.
      const free = ["logIndex", "integratedTime", "signedTimestamp"];
      const paths = accepted.map(({ origin }) => origin);
      expect(paths.filter((path) => !free.some((name) => path.includes(name)))).toEqual([]);
      const flips = changed.filter(({ origin }) => origin.includes("signedTimestamp")).length;
      const survivors = paths.filter((path) => path.includes("signedTimestamp")).length;
      expect(survivors).toBeLessThanOrEqual(flips / 4);
      expect(changed.length).toBeGreaterThan(100);
    },
  );
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

/** Between the bits that are turned; 1 takes minutes. */
const STRIDE = Number(process.env["STOWAGE_BIT_STRIDE"] ?? 61);

/** The bundle with one leaf of its tree changed, for each leaf; bytes also at bits all over them. */
function* everyChange(good: BundleJson) {
  for (const [path, value] of leavesOf(good)) {
    for (const other of changesOf(value)) {
      const copy = structuredClone(good);
      const last = path.at(-1) ?? "";
      const parent = path.slice(0, -1).reduce((node, key) => node[key], copy);
      if (other === undefined) delete parent[last];
      else parent[last] = other;
      yield {
        ...bundleSignature(copy),
        origin: `${path.join(".")}: ${String(other).slice(0, 40)}`,
      };
    }
  }
}

function* leavesOf(
  node: BundleJson,
  path: readonly string[] = [],
): Generator<readonly [readonly string[], string]> {
  if (typeof node === "string") yield [path, node];
  else if (typeof node === "object" && node !== null) {
    for (const [key, value] of Object.entries(node)) yield* leavesOf(value, [...path, key]);
  }
}

function changesOf(value: string): readonly (string | undefined)[] {
  if (value.length < 24 || !/^[A-Za-z0-9+/]+=*$/.test(value)) return [`${value}x`, "", undefined];
  const bytes = Buffer.from(value, "base64");
  const flips = Array.from({ length: Math.ceil((bytes.length * 8) / STRIDE) }, (_, index) =>
    flipBit(bytes, index * STRIDE).toString("base64"),
  );
  return [...flips, undefined];
}
