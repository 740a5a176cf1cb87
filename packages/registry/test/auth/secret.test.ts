import { inspect } from "node:util";

import { textOf } from "@stowage/testkit";
import { expect, test } from "vitest";

// No part of what the package offers, so by its own path.
import { revealSecret, Secret } from "../../src/auth/secret.ts";

test("a secret is three stars to whoever prints it, and a text to its one reader", () => {
  const secret = new Secret("canary");
  const holder = { grant: { secret }, list: [secret], map: new Map([["a", secret]]) };
  expect([`${secret}`, JSON.stringify(secret), inspect(secret)]).toEqual(["***", '"***"', "***"]);
  expect(JSON.stringify(holder)).toContain('"secret":"***"');
  expect(textOf(holder)).not.toContain("canary");
  expect(textOf(new Error("a", { cause: holder }))).not.toContain("canary");
  expect(textOf(structuredClone({ ...secret }))).not.toContain("canary");
  expect(revealSecret(secret)).toBe("canary");
});
