import {
  parseAnyReference,
  parseDockerReference,
  parseReference,
  parseRegistryHost,
  parseRepository,
  parseTag,
  redactCredentials,
  typedCredentials,
} from "@stowage/reference";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const DIGEST = `sha256:${"a".repeat(64)}`;
const READERS = [
  parseAnyReference,
  parseDockerReference,
  parseReference,
  parseRegistryHost,
  parseRepository,
  parseTag,
];

describe("credentials that were typed before a name", () => {
  test.each([
    ["http://user:pw@host/name", "user:pw"],
    ["https://user:pw@host", "user:pw"],
    ["https://token@host/name:tag", "token"],
    ["docker://user:pw@localhost:5000/x", "user:pw"],
    ["user:pw@host/name", "user:pw"],
    ["user:pw@host:5000", "user:pw"],
    ["token@host/name", "token"],
    ["user:p/w@host/name", "user:p/w"],
    ["user:p@w@host/name", "user:p@w"],
    ["user:1/2@host/name", "user:1/2"],
    ["org/robot:pw@host/name", "org/robot:pw"],
    ["User:PW@host/name", "User:PW"],
    [`user:pw@host/name@${DIGEST}`, "user:pw"],
    [`http://user:pw@host/name:tag@${DIGEST}`, "user:pw"],
    ["oci:user:pw@host", "oci:user:pw"],
  ])("%s has them", (text, credentials) => {
    expect(typedCredentials(text)).toBe(credentials);
    expect(redactCredentials(text)).toBe(text.replace(credentials, "[redacted]"));
  });

  test.each([
    "",
    "@",
    "name@",
    "@host/name",
    "http://@host/name",
    "host/name:tag",
    `host:5000/name:tag@${DIGEST}`,
    `Name:tag@${DIGEST}`,
    "host/Name:tag@sha256:1",
    "name:tag@sha256:1",
    "host:5000/name@latest",
    "http://host:5000/name",
    "name@latest",
  ])("%s has none", (text) => {
    expect(typedCredentials(text)).toBeUndefined();
    expect(redactCredentials(text)).toBe(text);
  });

  test("are in no failure, whatever reads the text, and the hint is about them", () => {
    const word = fc.stringMatching(/^[!-~]{6,200}$/).filter((text) => !text.includes("/"));
    const scheme = fc.constantFrom("", "http://", "https://", "docker://");
    const rest = fc.constantFrom("host/name", "host:5000/a/b:tag", `host/name@${DIGEST}`, "h/N");
    fc.assert(
      fc.property(scheme, word, word, rest, (begin, user, password, end) => {
        const secret = `${user}:${password}`;
        for (const read of READERS) {
          const error = failureOf(() => read(`${begin}${secret}@${end}`));
          expect(error.message).not.toContain(secret.slice(0, 100));
          expect(error.message).not.toContain(password);
          expect(error.hint).toContain("stowage login");
          expect(error.cause).toBeUndefined();
        }
      }),
    );
  });

  test("are looked for in hostile text of a megabyte, and that ends", () => {
    const unit = fc.constantFrom(
      "@",
      ":",
      "/",
      "//",
      "a:b@",
      "@sha256:",
      "http://",
      "a/",
      ":1/",
      " ",
    );
    fc.assert(
      fc.property(fc.array(unit, { minLength: 1, maxLength: 4 }), (units) => {
        const pattern = units.join("");
        const text = pattern.repeat(Math.ceil(1_000_000 / pattern.length));
        for (const end of ["", "@", "/", "@host/name", `@${DIGEST}`]) {
          const shown = redactCredentials(`${text}${end}`);
          expect(shown.length).toBeLessThanOrEqual(text.length + end.length + "[redacted]".length);
          for (const read of READERS)
            expect(failureOf(() => read(text)).message.length).toBeLessThan(1000);
        }
      }),
      { numRuns: 4 },
    );
  });
});

function failureOf(action: () => unknown): Error & { readonly hint?: string } {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it was taken");
}
