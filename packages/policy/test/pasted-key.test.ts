import { inspect } from "node:util";

import { expect, test } from "vitest";

import { readKeyFile } from "../src/key/key-material.ts";

test("a key that stands where its path belongs is refused, and shown nowhere", async () => {
  const path = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n";
  const error = await readKeyFile(path, { maxBytes: 1000, signal: undefined }).catch(
    (cause: unknown) => cause,
  );
  expect(error).toMatchObject({ code: "ERR_POLICY_INVALID_KEY" });
  expect(inspect(error, { depth: 9 })).not.toContain("MHcCAQEE");
});
