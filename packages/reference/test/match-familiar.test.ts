import { matchFamiliar, parseReference } from "@stowage/reference";
import { describe, expect, test } from "vitest";

describe("matchFamiliar", () => {
  test.for([
    ["busybox", "busybox:1", true],
    ["busybox:1", "busybox:1", true],
    ["busybox:*", "busybox:1", true],
    ["b*x", "busybox:1", true],
    ["b*y*x:?", "busybox:1", true],
    ["busybox:[0-9]", "busybox:1", true],
    ["busybox:[^0-9]", "busybox:1", false],
    ["busybox:[a1]", "busybox:1", true],
    ["busy\\box", "busybox", true],
    ["busy\\*", "busybox", false],
    ["*", "q.io/a", false],
    ["*/*", "q.io/a", true],
    ["q.io/*/b", "q.io/a/b:1", true],
    ["q.io/?/b", "q.io/a/b:1", true],
    ["q.io?a", "q.io/a", false],
    ["", "busybox", false],
    ["*box", "busybox", true],
    ["*bus", "busybox", false],
  ] as const)("%s on %s is %s", ([pattern, reference, matches]) => {
    expect(matchFamiliar(pattern, parseReference(reference))).toBe(matches);
  });

  test.for(["[", "[]", "[a", "[a-", "[a-]", "[-a]", "a\\", "[\\", "x[", "zzz*[", "[^]"])(
    "refuses the malformed %j, wherever it stands",
    (pattern) => {
      expect(() => matchFamiliar(pattern, parseReference("busybox"))).toThrow(
        expect.objectContaining({
          code: "ERR_REFERENCE_INVALID_PATTERN",
          kind: "InvalidArgument",
        }),
      );
    },
  );

  test("R15 does not explode on many stars", () => {
    const reference = parseReference("a".repeat(200));
    const start = performance.now();
    expect(matchFamiliar(`${"a*".repeat(60)}b`, reference)).toBe(false);
    expect(performance.now() - start).toBeLessThan(200);
  });
});
