import { parseTag } from "@stowage/reference";
import { expect, test } from "vitest";

test.for(["latest", "_", "1.0-rc.1", "A", "t".repeat(128)])("R04 %s is a tag", (text) => {
  expect(parseTag(text)).toBe(text);
});

test.for(["", "-x", ".x", "a b", "a/b", "a:b", "a+b", "é", "a\n", "t".repeat(129)])(
  "R04 %j is none",
  (text) => {
    expect(() => parseTag(text)).toThrow(
      expect.objectContaining({ code: "ERR_REFERENCE_INVALID_TAG", kind: "ReferenceInvalid" }),
    );
  },
);
