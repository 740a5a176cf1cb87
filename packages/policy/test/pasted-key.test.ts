import { inspect } from "node:util";

import { parsePolicy } from "@stowage/policy";
import { describe, expect, test } from "vitest";

import { readKeyFile } from "../src/key/key-material.ts";

test("a key that stands where its path belongs is refused, and shown nowhere", async () => {
  const path = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n";
  const error = await readKeyFile(path, { maxBytes: 1000, signal: undefined }).catch(
    (cause: unknown) => cause,
  );
  expect(error).toMatchObject({
    code: "ERR_POLICY_INVALID_KEY",
    message: expect.stringMatching(/a private one, which is for its signer alone.*public key/),
  });
  expect(inspect(error, { depth: 9 })).not.toContain("MHcCAQEE");
});

test("one that is public may be kept in a file, or given as data", async () => {
  const path = "-----BEGIN PUBLIC KEY-----\nMHcCAQEE\n-----END PUBLIC KEY-----\n";
  const error = await readKeyFile(path, { maxBytes: 1000, signal: undefined }).catch(String);
  expect(error).toContain("keep it in a file, or give it as data");
  expect(error).not.toContain("private");
});

describe("what stands in place of a type, and is no word, is not shown:", () => {
  test.for([
    ["a private key", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE"],
    ["an address with a password", "https://bob:MHcCAQEE@h"],
    ["an address with a token", "https://h/a?token=MHcCAQEE"],
  ] as const)("%s", ([, type]) => {
    const identity = { type: "signedBy", keyType: "GPGKeys", keyPath: "/k" };
    for (const requirement of [{ type }, { ...identity, signedIdentity: { type } }]) {
      const parse = () => parsePolicy(JSON.stringify({ default: [requirement] }));
      expect(parse).toThrow(/\.type is .*, which is no type of/);
      expect(messageOf(parse)).not.toContain("MHcCAQEE");
    }
  });
});

function messageOf(parse: () => unknown): string {
  try {
    return inspect(parse(), { depth: 9 });
  } catch (error) {
    return inspect(error, { depth: 9 });
  }
}
