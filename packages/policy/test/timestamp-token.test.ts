import { hasPeer } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import {
  type BundleJson,
  bundleSignature,
  type Clock,
  ISSUER,
  openSigstore,
  type Sigstore,
  WORKFLOW,
} from "./support/bundle-signer.ts";
import { judgeOne } from "./support/judged-image.ts";
import { openOpensslAuthority } from "./support/openssl-authority.ts";

const SIGNED_DATA = "06092a864886f70d010702";
const TIMESTAMP = "060b2a864886f70d0109100104";

describe.runIf(hasPeer("openssl"))("timestamps of OpenSSL (if it is installed)", () => {
  test.for(["ec", "rsa"] as const)(
    "are read with as many digits behind the seconds as they have, by a key of kind %s",
    async (kind) => {
      await using authority = await openOpensslAuthority(kind);
      for (const digits of [0, 1, 2, 3, 6]) {
        const { certificates } = authority;
        const clock: Clock = {
          certificates,
          timestamp: async (artifactHash) => await authority.timestamp({ artifactHash, digits }),
        };
        const sigstore = await openSigstore(clock);
        const bundle = await sigstore.bundle({ log: "v2" });
        expect(await judge(sigstore, bundle)).toMatchObject({ allowed: true });
      }
    },
  );

  test("with a certificate that the root does not have do not count", async () => {
    await using authority = await openOpensslAuthority("ec");
    const [own] = authority.certificates;
    const sigstore = await openSigstore({
      certificates: [own as Buffer],
      timestamp: async (artifactHash) => await authority.timestamp({ artifactHash, digits: 0 }),
    });
    const bundle = await sigstore.bundle({ log: "v2" });
    expect((await judge(sigstore, bundle)).reason).toMatch(
      /certificate that is none of the root's/,
    );
  });

  test("are from the clock that was asked: one of years ahead does not count", async () => {
    await using authority = await openOpensslAuthority("ec");
    const sigstore = await openSigstore({
      certificates: authority.certificates,
      timestamp: async (artifactHash) => await authority.timestamp({ artifactHash, digits: 0 }),
    });
    const bundle = await sigstore.bundle({ log: "v2" });
    const now = (): Date => new Date(Date.now() - 3_600_000);
    expect((await judge(sigstore, bundle, now)).reason).toMatch(/from the future/);
  });
});

describe("a timestamp whose unsigned parts are others does not count", () => {
  test.for([
    ["that was not granted", at("3003020100", 4, 0x01), /not granted/],
    ["of another type of message", at(SIGNED_DATA, 10, 0x03), /no signed message/],
    ["of another version", at("020103", 2, 0x01), /another version than 3/],
    ["of something else than a time", at(TIMESTAMP, 12, 0x05), /holds something else/],
    ["whose signer names another digest", last("0609608648016503040201", 10, 0x03), /digest/],
    ["that is signed by another algorithm", last("06082a8648ce3d040302", 9, 0x05), /supported/],
  ] as const)("%s", async ([, change, reason]) => {
    const sigstore = await openSigstore();
    const bundle = await sigstore.bundle({ log: "v2" });
    const [stamp] = bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps;
    stamp.signedTimestamp = change(Buffer.from(stamp.signedTimestamp, "base64")).toString("base64");
    expect((await judge(sigstore, bundle)).reason).toMatch(reason);
  });

  test("with more behind it", async () => {
    const sigstore = await openSigstore();
    const bundle = await sigstore.bundle({ log: "v2" });
    const [stamp] = bundle.verificationMaterial.timestampVerificationData.rfc3161Timestamps;
    const bytes = Buffer.concat([Buffer.from(stamp.signedTimestamp, "base64"), Buffer.of(5, 0)]);
    stamp.signedTimestamp = bytes.toString("base64");
    expect((await judge(sigstore, bundle)).allowed).toBe(false);
  });
});

async function judge(sigstore: Sigstore, bundle: BundleJson, now?: () => Date) {
  const requirement = {
    type: "sigstoreBundle",
    identity: { issuer: ISSUER, subject: WORKFLOW },
    trustedRootData: sigstore.rootData,
  };
  return await judgeOne(requirement, bundleSignature(bundle), now === undefined ? {} : { now });
}

/** Writes a byte into the first place that has these, in hex. */
function at(hex: string, offset: number, byte: number): (bytes: Buffer) => Buffer {
  return (bytes) => Buffer.from(bytes.with(bytes.indexOf(Buffer.from(hex, "hex")) + offset, byte));
}

/** Writes a byte into the last place that has these, in hex. */
function last(hex: string, offset: number, byte: number): (bytes: Buffer) => Buffer {
  return (bytes) =>
    Buffer.from(bytes.with(bytes.lastIndexOf(Buffer.from(hex, "hex")) + offset, byte));
}
