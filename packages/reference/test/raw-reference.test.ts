import { parseRawReference } from "@stowage/reference";
import { expect, test } from "vitest";

test("takes any legal first component as domain, and fills nothing in", () => {
  expect(parseRawReference("library/busybox:1")).toEqual({
    domain: "library",
    path: "busybox",
    tag: "1",
  });
  expect(parseRawReference("a_b/c")).toEqual({ domain: "", path: "a_b/c" });
});

test("an empty text is told from a malformed one", () => {
  expect(() => parseRawReference("")).toThrow(
    expect.objectContaining({ code: "ERR_REFERENCE_EMPTY", kind: "ReferenceInvalid" }),
  );
  expect(() => parseRawReference(" ")).toThrow(
    expect.objectContaining({ code: "ERR_REFERENCE_INVALID" }),
  );
});
