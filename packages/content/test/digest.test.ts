import { readFileSync } from "node:fs";

import {
  algorithmOf,
  createDigester,
  digestOf,
  encodedOf,
  isDigest,
  parseDigest,
} from "@stowage/content";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";

const EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

describe("parseDigest", () => {
  test.for(lines("digest-valid.txt"))("takes %s", (text) => {
    expect(parseDigest(text)).toBe(text);
    expect(isDigest(text)).toBe(true);
  });

  test.for(lines("digest-invalid.txt"))("D01, D02: refuses %j", (text) => {
    expect(() => parseDigest(text)).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_DIGEST", kind: "DigestInvalid" }),
    );
    expect(isDigest(text)).toBe(false);
  });

  test.for(lines("digest-unsupported.txt"))(
    "D03: names the algorithm of %s as unsupported",
    (text) => {
      expect(() => parseDigest(text)).toThrow(
        expect.objectContaining({
          code: "ERR_CONTENT_UNSUPPORTED_DIGEST",
          kind: "DigestUnsupported",
        }),
      );
      expect(isDigest(text)).toBe(false);
    },
  );

  test("D07: refuses a megabyte without reading it, in a short message", () => {
    const refusal = catchError(() => parseDigest(`sha256:${"a".repeat(1024 * 1024)}`));
    expect(refusal).toMatchObject({ code: "ERR_CONTENT_INVALID_DIGEST" });
    expect(refusal.message.length).toBeLessThan(300);
  });

  test("refuses a newline at the end", () => {
    expect(() => parseDigest(`${EMPTY}\n`)).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_DIGEST" }),
    );
  });
});

describe("digestOf", () => {
  test("D05: knows the empty blob", () => {
    expect(digestOf(new Uint8Array())).toBe(EMPTY);
  });

  test("is the same however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (chunks) => {
        for (const algorithm of ["sha256", "sha512"] as const) {
          const digester = createDigester(algorithm);
          for (const chunk of chunks) digester.update(chunk);
          expect(digester.digest()).toBe(digestOf(Buffer.concat(chunks), algorithm));
        }
      }),
    );
  });

  test("is the same where there is no node:crypto, as in a browser", () => {
    const bytes = Buffer.from("hello, registry");
    const native = [digestOf(bytes), digestOf(bytes, "sha512")];
    vi.stubGlobal("process", undefined);
    const portable = [digestOf(bytes), digestOf(bytes, "sha512")];
    vi.unstubAllGlobals();
    expect(portable).toEqual(native);
  });

  test("splits into algorithm and digits", () => {
    expect(algorithmOf(digestOf(Buffer.of(1), "sha512"))).toBe("sha512");
    expect(encodedOf(parseDigest(EMPTY))).toBe(EMPTY.slice(7));
  });
});

function lines(file: string): string[] {
  return readFileSync(new URL(`vectors/${file}`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function catchError(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  return expect.fail("nothing was thrown");
}
