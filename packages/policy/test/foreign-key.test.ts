import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";

import { checkPolicyKeys, parsePolicy } from "@stowage/policy";
import { tempDir } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const FPR = "85048366A7A39AF9EA33C928BB3747A549A2356D";
const SECRET = "MHcCAQEEgeheim";
const GPG = "signedBy";
const COSIGN = "sigstoreSigned";

/** A block of PEM. */
function pem(label: string): string {
  return `-----BEGIN ${label}-----\n\n${SECRET}\n-----END ${label}-----\n`;
}

describe("a file that is no key is told of by what it is:", () => {
  test.for([
    ["a key of SSH", GPG, `ssh-ed25519 AAAAC3Nz${SECRET} me@here`, "a key of SSH, which signs no"],
    ["a key of SSH", COSIGN, `ssh-rsa AAAAB3Nz${SECRET} me@here`, "in PEM, but a key of SSH"],
    [
      "a private key of SSH",
      GPG,
      pem("OPENSSH PRIVATE KEY"),
      "a private key of SSH, which must not",
    ],
    [
      "a private key",
      GPG,
      pem("ENCRYPTED PRIVATE KEY"),
      "but a private key, which must not be here",
    ],
    ["a certificate", GPG, pem("CERTIFICATE"), "but an X.509 certificate"],
    ["a certificate", COSIGN, pem("CERTIFICATE"), "but an X.509 certificate"],
    ["a request", COSIGN, pem("CERTIFICATE REQUEST"), "but a request for a certificate"],
    ["a signature", GPG, pem("PGP SIGNATURE"), "but a signature"],
    ["a signature", COSIGN, pem("PGP SIGNATURE"), "but a signature"],
    ["a clear signature", GPG, pem("PGP SIGNED MESSAGE"), "but a signature"],
    ["half a key", GPG, pem("PGP PUBLIC KEY BLOCK").slice(0, 50), "but the beginning of one"],
    ["half a key", COSIGN, pem("PUBLIC KEY").slice(0, 40), "but the beginning of one"],
    [
      "an indented key",
      GPG,
      pem("PGP PUBLIC KEY BLOCK").replaceAll(/^/gm, "  "),
      "blanks before its",
    ],
    ["a damaged key", GPG, pem("PGP PUBLIC KEY BLOCK"), "but one that is damaged"],
    ["the key of cosign", GPG, pem("PUBLIC KEY"), "but one in PEM: that is for sigstoreSigned"],
    [
      "the key of gpg",
      COSIGN,
      pem("PGP PUBLIC KEY BLOCK"),
      "but one of OpenPGP: that is for signedBy",
    ],
    [
      "a fingerprint",
      GPG,
      `${FPR}\n`,
      `fingerprint or the ID of a key: \`gpg --export --armor ${FPR}\``,
    ],
    [
      "an address",
      GPG,
      "alice@example.com",
      "an address: `gpg --export --armor alice@example.com`",
    ],
    [
      "base64",
      GPG,
      Buffer.from(pem("PGP PUBLIC KEY BLOCK")).toString("base64"),
      "one in base64, whi",
    ],
    ["a page", GPG, "<!DOCTYPE html><title>Log in</title>", "but a page of the web"],
    ["something", COSIGN, "hello", "holds no public key in PEM"],
  ] as const)("%s, for %s", async ([, type, content, words]) => {
    await using folder = await tempDir();
    const keyPath = join(folder.path, "file");
    await writeFile(keyPath, content);
    const [problem, ...more] = await check({ type, keyPath });
    expect(more).toEqual([]);
    expect(problem?.problem).toContain(words);
    const how = { signedBy: "gpg --export --armor WHO", sigstoreSigned: "cosign public-key" };
    expect(problem?.remedy).toContain(how[type]);
    expect(inspect(problem)).not.toContain(SECRET);
  });

  test("whatever it is, and whatever it begins with", async () => {
    await using folder = await tempDir();
    for (let first = 0; first < 256; first++) {
      const keyPath = join(folder.path, `${first}`);
      await writeFile(keyPath, Buffer.concat([Buffer.of(first), randomBytes(first)]));
      expect(await check({ type: GPG, keyPath })).toHaveLength(1);
      expect(await check({ type: COSIGN, keyPath })).toHaveLength(1);
    }
  });

  test("a fingerprint as data, which is good base64", async () => {
    const [problem] = await check({ type: GPG, keyData: FPR });
    expect(problem?.problem).toContain(`keyData holds no OpenPGP public key, but the fingerprint`);
    expect(problem?.problem).toContain(FPR);
    expect(problem?.remedy).toContain("base64 -w0");
  });
});

describe("a path of no file is told of", () => {
  test.for([
    [
      "with a blank behind it",
      "/none/a.asc ",
      '"/none/a.asc " is not there: its path ends in a bl',
    ],
    [
      "with a blank before it",
      " /none/a.asc",
      'begins with a blank, which is a part of it: write "/',
    ],
    ["with an end of a line", "/none/a.asc\n", 'write "/none/a.asc"'],
    [
      "with what nobody sees",
      "/none/\u200ba.asc",
      "has a character in it that nobody sees, U+200B",
    ],
    ["with another blank", "/none/a\u00a0b.asc", "nobody sees, U+00A0"],
    ["that is a fingerprint", FPR, "it is the fingerprint or the ID of a key, and no path: write"],
    ["that is an address", "alice@example.com", "`gpg --export --armor alice@example.com > FILE`"],
    ["with a blank in it", "/none/my key.asc", "/none/my key.asc is not there"],
  ] as const)("%s", async ([, keyPath, words]) => {
    const [problem] = await check({ type: GPG, keyPath });
    expect(problem?.problem).toContain(words);
    expect(problem?.problem).not.toContain("\u200b");
  });

  test("with a password before it, without that", async () => {
    const [problem] = await check({ type: GPG, keyPath: "https://user:geheim@q.io/a.asc " });
    expect(problem?.problem).toContain("ends in a blank");
    expect(inspect(problem)).not.toContain("geheim");
  });
});

test.for([
  [{ type: GPG, keyPath: "/none" }, "file of OpenPGP public keys, as `gpg --export --armor WHO >"],
  [{ type: COSIGN, keyPath: "/none" }, "a file of a public key in PEM, as `cosign public-key"],
  [
    { type: COSIGN, pki: { caRootsPath: "/none", subjectEmail: "a" } },
    "a file of certificates in PEM, of the authority",
  ],
  [
    {
      type: COSIGN,
      fulcio: { caPath: "/none", oidcIssuer: "i", subjectEmail: "a" },
      rekorPublicKeyData: "bm8=",
    },
    "Write what `base64 -w0 FILE` prints, FILE being one of the public key of the transparency log",
  ],
  [
    { type: "sigstoreBundle", identity: { issuer: "i", subject: "s" }, trustedRootPath: "/none" },
    "a file of a trusted root (trusted_root.json)",
  ],
] as const)(
  "what is wanted in place of what is none is said for its field: %j",
  async ([fields, words]) => {
    expect((await check(fields))[0]?.remedy).toContain(words);
  },
);

async function check(fields: object) {
  const keyType = "type" in fields && fields.type === GPG ? { keyType: "GPGKeys" } : {};
  return await checkPolicyKeys(
    parsePolicy(JSON.stringify({ default: [{ ...fields, ...keyType }] })),
  );
}
