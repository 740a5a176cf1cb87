import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";

import { beforeAll, describe, expect, test } from "vitest";

import {
  type BundleJson,
  type BundleOptions,
  bundleSignature,
  ISSUER,
  openSigstore,
  type Sigstore,
  statementOf,
  WORKFLOW,
} from "./support/bundle-signer.ts";
import { judgeImage, judgeOne, MANIFEST_DIGEST } from "./support/judged-image.ts";

const OTHER = `sha256:${"0".repeat(64)}`;
const ELSEWHERE = statementOf({ subject: [{ digest: { sha256: "0".repeat(64) } }] });

/** How a bundle comes to be, what is changed in it, and what is said of it. */
interface Row {
  readonly made?: BundleOptions;
  readonly changed?: (bundle: BundleJson) => void;
  readonly fault: string;
  readonly reason: string;
  readonly remedy?: string;
}

describe("of a bundle that does not count, the cause is told", () => {
  let sigstore: Sigstore;
  let other: Sigstore;
  let key: KeyObject;
  let stranger: KeyObject;
  let bare: object;
  let logged: object;
  let byIdentity: object;
  let hint: string;

  beforeAll(async () => {
    [sigstore, other] = [await openSigstore(), await openSigstore()];
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    key = pair.privateKey;
    stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const pem = pair.publicKey.export({ format: "pem", type: "spki" });
    const der = pair.publicKey.export({ format: "der", type: "spki" });
    hint = createHash("sha256").update(der).digest("base64");
    bare = { type: "sigstoreBundle", keyData: Buffer.from(pem).toString("base64") };
    logged = { ...bare, trustedRootData: sigstore.rootData };
    const identity = { issuer: ISSUER, subject: WORKFLOW };
    byIdentity = { type: "sigstoreBundle", identity, trustedRootData: sigstore.rootData };
  });

  async function expectTold(requirement: object, bundle: BundleJson, row: Row): Promise<void> {
    row.changed?.(bundle);
    const { fault, reason, remedy = "" } = row;
    expect(await judgeOne(requirement, bundleSignature(bundle))).toMatchObject({
      allowed: false,
      reason: expect.stringContaining(reason),
      ...(remedy && { remedy: expect.stringContaining(remedy) }),
      signatures: [{ accepted: false, fault, reason: expect.stringContaining(reason) }],
    });
  }

  const damage = ({ dsseEnvelope }: BundleJson): void => {
    dsseEnvelope.payload = Buffer.from(JSON.stringify(ELSEWHERE)).toString("base64");
  };
  const name = ({ verificationMaterial }: BundleJson): void => {
    verificationMaterial.publicKey = { hint };
  };

  test.for<readonly [string, Row]>([
    [
      "by another's key",
      {
        changed: ({ verificationMaterial }) => (verificationMaterial.publicKey = { hint: "a" }),
        fault: "untrusted",
        reason: "by none of the policy's keys",
        remedy: "add the signer's public key",
      },
    ],
    [
      "by another's key, in the name of the policy's",
      { changed: name, fault: "malformed", reason: "it names the key", remedy: "in that name" },
    ],
  ])("by a key: %s", async ([, row]) => {
    for (const requirement of [bare, logged]) {
      await expectTold(requirement, await sigstore.bundle({ key: stranger }), row);
    }
  });

  test.for<readonly [string, Row]>([
    [
      "with a damaged payload",
      {
        changed(bundle) {
          damage(bundle);
          name(bundle);
        },
        fault: "malformed",
        reason: "its signature is not by that key over its payload",
        remedy: "it was changed since",
      },
    ],
    [
      "with a payload that is not in base64",
      {
        changed: ({ dsseEnvelope }) => (dsseEnvelope.payload = "*"),
        fault: "malformed",
        reason: "its dsseEnvelope.payload is not in base64",
      },
    ],
    [
      "about another image",
      {
        made: { statement: ELSEWHERE },
        fault: "mismatch",
        reason: `it is about ${OTHER}, not about ${MANIFEST_DIGEST}`,
        remedy: "each image has to be signed by itself",
      },
    ],
    [
      "about nothing",
      {
        made: { statement: statementOf({ subject: [] }) },
        fault: "mismatch",
        reason: `it is about nothing, not about ${MANIFEST_DIGEST}`,
      },
    ],
    [
      "that is an attestation",
      {
        made: { statement: statementOf({ predicateType: "https://slsa.dev/provenance/v1" }) },
        fault: "mismatch",
        reason: "it states https://slsa.dev/provenance/v1, not https://sigstore.dev/cosign/sign/v1",
      },
    ],
    [
      "of another payload type",
      {
        made: { payloadType: "text/plain" },
        fault: "malformed",
        reason: "it signs something else than a statement",
      },
    ],
  ])("by a key, without a log: %s", async ([, row]) => {
    await expectTold(bare, await sigstore.bundle({ key, log: "none", ...row.made }), row);
  });

  test.for<readonly [string, Row]>([
    [
      "without an entry of one",
      {
        made: { log: "none" },
        fault: "untrusted",
        reason: "it has no entry of a transparency log",
        remedy: "trustedRootPath or trustedRootData asks for it",
      },
    ],
    [
      "without an entry of one, but with a timestamp",
      {
        made: { log: "none", timestamp: true },
        fault: "untrusted",
        reason: "it has no entry of a transparency log",
      },
    ],
    [
      "with an entry and no time",
      {
        made: { log: "v2", timestamp: false },
        fault: "malformed",
        reason: "nothing that the trusted root knows tells when it was signed",
        remedy: "timestamp",
      },
    ],
    [
      "with a damaged payload",
      {
        changed: damage,
        fault: "malformed",
        reason: "its log entry is about another payload",
        remedy: "it was changed since",
      },
    ],
    [
      "about another image",
      { made: { statement: ELSEWHERE }, fault: "mismatch", reason: `it is about ${OTHER}` },
    ],
  ])("by a key, where a log is asked for: %s", async ([, row]) => {
    await expectTold(logged, await sigstore.bundle({ key, ...row.made }), row);
  });

  test("by a key, where a log is asked for: with the entry of another instance's log", async () => {
    await expectTold(logged, await other.bundle({ key }), {
      fault: "malformed",
      reason: "no log of the trusted root vouches for its entry",
      remedy: "trusted root",
    });
  });

  test.for<readonly [string, Row]>([
    [
      "without an entry of a log",
      { made: { log: "none" }, fault: "untrusted", reason: "no entry of a transparency log" },
    ],
    [
      "with a damaged payload",
      { changed: damage, fault: "malformed", reason: "its log entry is about another payload" },
    ],
    [
      "by another workflow",
      {
        made: { subject: WORKFLOW.replace("build", "test") },
        fault: "untrusted",
        reason: `it is by ${WORKFLOW.replace("build", "test")}, as ${ISSUER} says`,
        remedy: `The policy trusts ${WORKFLOW}, as ${ISSUER} says.`,
      },
    ],
    [
      "by another issuer",
      {
        made: { issuer: "https://gitlab.com" },
        fault: "untrusted",
        reason: "as https://gitlab.com says",
        remedy: `as ${ISSUER} says`,
      },
    ],
  ])("by an identity: %s", async ([, row]) => {
    await expectTold(byIdentity, await sigstore.bundle(row.made), row);
  });

  test("by an identity: of another instance", async () => {
    await expectTold(byIdentity, await other.bundle({ timestamp: false }), {
      fault: "malformed",
      reason: "the trusted root",
      remedy: "another sigstore instance",
    });
  });

  test("by one where the other is asked for, and the requirement to write for it", async () => {
    await expectTold(bare, await sigstore.bundle(), {
      fault: "untrusted",
      reason: "it is by an identity, and not by a bare key",
      remedy: '{"type": "sigstoreBundle", "identity": {"issuer": …, "subject": …}',
    });
    await expectTold(byIdentity, await sigstore.bundle({ key }), {
      fault: "untrusted",
      reason: "it is by a bare key, and not by an identity",
      remedy: '{"type": "sigstoreBundle", "keyPath": …}',
    });
  });

  test("of several, each has its own", async () => {
    const bundles = [
      await sigstore.bundle({ key: stranger }),
      await sigstore.bundle({ key, log: "none" }),
      await sigstore.bundle({ key, statement: ELSEWHERE }),
      await sigstore.bundle(),
    ];
    const { requirements } = await judgeImage([logged], bundles.map(bundleSignature));
    expect(requirements).toMatchObject([
      {
        allowed: false,
        signatures: [
          { reason: "it is by none of the policy's keys" },
          { reason: "it has no entry of a transparency log" },
          { reason: expect.stringContaining(`it is about ${OTHER}`) },
          { reason: "it is by an identity, and not by a bare key" },
        ],
      },
    ]);
  });

  test("by the second of two keys, it is not that it is by none of them", async () => {
    const first = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    const { keyData } = bare as { keyData: string };
    const pem = first.export({ format: "pem", type: "spki" });
    const keyDatas = [Buffer.from(pem).toString("base64"), keyData];
    for (const order of [keyDatas, keyDatas.toReversed()]) {
      const rule = {
        type: "sigstoreBundle",
        keyDatas: order,
        trustedRootData: sigstore.rootData,
      };
      await expectTold(rule, await sigstore.bundle({ key, log: "none" }), {
        fault: "untrusted",
        reason: "no entry of a transparency log",
      });
    }
  });
});
