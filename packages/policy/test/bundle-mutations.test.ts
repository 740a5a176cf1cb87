import { generateKeyPairSync } from "node:crypto";

import { beforeAll, describe, expect, test } from "vitest";

import {
  type BundleJson,
  type BundleOptions,
  bundleSignature,
  ISSUER,
  openSigstore,
  type Sigstore,
  WORKFLOW,
} from "./support/bundle-signer.ts";
import { judgeImage, judgeOne } from "./support/judged-image.ts";
import { flipBit } from "./support/sigstore-signer.ts";

/** Between the bits that are turned; 1 takes minutes. */
const STRIDE = Number(process.env["STOWAGE_BIT_STRIDE"] ?? 199);
const WITNESS = "\u2014 witness.example.com AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

describe("a good bundle with one field or one bit of it changed", () => {
  let sigstore: Sigstore;

  beforeAll(async () => {
    sigstore = await openSigstore();
  });

  const byIdentity = (): object => ({
    type: "sigstoreBundle",
    identity: { issuer: ISSUER, subject: WORKFLOW },
    trustedRootData: sigstore.rootData,
  });

  test.for([
    ["a promise and a proof", {}],
    ["a proof of Rekor v2 and a timestamp", { log: "v2" }],
    ["an envelope in Rekor v2", { log: "v2-dsse" }],
    ["a timestamp with its certificate", { log: "v2", embedded: true }],
  ] as const)("does not count: %s", async ([, options]) => {
    expect(await changeable(await sigstore.bundle(options), byIdentity())).toEqual([]);
  });

  test("counts if only what a witness says of a checkpoint is another: nobody here knows it", async () => {
    const bundle = await sigstore.bundle({ log: "v2", witnesses: [WITNESS] });
    expect(await changeable(bundle, byIdentity())).toEqual([
      "verificationMaterial.tlogEntries.0.inclusionProof.checkpoint.envelope line 7",
    ]);
  });

  test("does not count if bits of a checkpoint that stand for nothing are others", async () => {
    for (const [line, allowed] of [
      ["\u2014 witness.example.com AAAAAAAAAAA=\n", true],
      ["\u2014 witness.example.com AAAAAAAAAAB=\n", false],
    ] as const) {
      const bundle = await sigstore.bundle({ log: "v2", witnesses: [line] });
      expect((await judgeOne(byIdentity(), bundleSignature(bundle))).allowed).toBe(allowed);
    }
  });

  test("counts if only the number of an entry is another that no promise has", async () => {
    const bundle = await sigstore.bundle({ promise: false, timestamp: true });
    expect(await changeable(bundle, byIdentity())).toEqual([
      "verificationMaterial.tlogEntries.0.logIndex",
    ]);
  });

  test("counts if of two that tell the time one is gone", async () => {
    const bundle = await sigstore.bundle({ timestamp: true });
    expect(await changeable(bundle, byIdentity())).toEqual([
      "verificationMaterial.timestampVerificationData",
      "verificationMaterial.timestampVerificationData.rfc3161Timestamps",
      "verificationMaterial.timestampVerificationData.rfc3161Timestamps.0",
    ]);
  });

  test("counts if only a hint at the key is another: every key of the policy is tried", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = publicKey.export({ format: "pem", type: "spki" });
    const requirement = { type: "sigstoreBundle", keyData: Buffer.from(pem).toString("base64") };
    const options: BundleOptions = { key: privateKey, keyid: "a key" };
    const hints = ["dsseEnvelope.signatures.0.keyid", "verificationMaterial.publicKey.hint"];
    const logged = { ...requirement, trustedRootData: sigstore.rootData };
    expect(await changeable(await sigstore.bundle(options), logged)).toEqual(hints);
    const bare = await sigstore.bundle({ ...options, log: "none" });
    expect(await changeable(bare, requirement)).toEqual(hints);
  });

  test("counts with a key and no root, whatever logs and clocks say in it", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = publicKey.export({ format: "pem", type: "spki" });
    const requirement = { type: "sigstoreBundle", keyData: Buffer.from(pem).toString("base64") };
    const paths = await changeable(
      await sigstore.bundle({ key: privateKey, timestamp: true }),
      requirement,
    );
    const ignored =
      /^verificationMaterial\.(?:publicKey|tlogEntries|timestampVerificationData)(?:\.|$)/;
    expect(paths.filter((path) => !ignored.test(path))).toEqual([]);
  });
});

/** Where the bundle can be changed and counts still, in order. */
async function changeable(good: BundleJson, requirement: object): Promise<readonly string[]> {
  const signature = bundleSignature(good);
  expect(await judgeOne(requirement, signature)).toMatchObject({ allowed: true });
  const flips = Array.from(
    { length: Math.ceil((signature.bytes.length * 8) / STRIDE) },
    (_, index) => ({ ...signature, bytes: flipBit(signature.bytes, index * STRIDE) }),
  );
  const changes = [...everyChange(good), ...flips];
  expect(changes.length).toBeGreaterThan(80);
  const { requirements } = await judgeImage([requirement], changes);
  const verdicts = requirements[0]?.signatures ?? [];
  expect(verdicts).toHaveLength(changes.length);
  const survivors = changes.filter((_, index) => verdicts[index]?.accepted);
  const paths = survivors.map(({ bytes }) => differenceOf(good, JSON.parse(bytes.toString())));
  return [...new Set(paths)].toSorted();
}

/** The bundle with one node of its tree gone or another, or with one more. */
function* everyChange(good: BundleJson) {
  for (const [path, value] of nodesOf(good)) {
    const isText = typeof value === "string";
    const others = isText
      ? [`${value}x`, `${value}A`, "", 1, null, undefined]
      : [
          { ...value, more: "" },
          ...(Array.isArray(value) ? [[...value, ""]] : []),
          null,
          undefined,
        ];
    for (const other of others) {
      // What is left out stands for these, as the format has it: that is no change.
      if (other === undefined && ["0", "[]"].includes(isText ? value : JSON.stringify(value)))
        continue;
      const copy = structuredClone(good);
      const parent = path.slice(0, -1).reduce((node, key) => node[key], copy);
      const last = path.at(-1) ?? "";
      if (other !== undefined) parent[last] = other;
      else if (Array.isArray(parent)) parent.splice(Number(last), 1);
      else delete parent[last];
      yield bundleSignature(copy);
    }
  }
  yield bundleSignature({ ...good, more: "" });
}

function* nodesOf(
  node: BundleJson,
  path: readonly string[] = [],
): Generator<readonly [readonly string[], BundleJson]> {
  if (path.length > 0) yield [path, node];
  if (typeof node !== "object" || node === null) return;
  for (const [key, value] of Object.entries(node)) yield* nodesOf(value, [...path, key]);
}

/** The path of the first node that is another; of a text with lines, also the line. */
function differenceOf(one: BundleJson, other: BundleJson, path: readonly string[] = []): string {
  const isTree = [one, other].every((node) => typeof node === "object" && node !== null);
  if (!isTree) {
    const lines = typeof one === "string" && one.includes("\n") ? one.split("\n") : [];
    const line = lines.findIndex((text, index) => text !== String(other).split("\n")[index]);
    return path.join(".") + (line < 0 ? "" : ` line ${line + 1}`);
  }
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  const key = [...keys].find((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]));
  return key === undefined ? "" : differenceOf(one[key], other[key], [...path, key]);
}
