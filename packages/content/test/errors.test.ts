import { CodedError, ContentError, errorKind, hasErrorCode } from "@stowage/content";
import { describe, expect, test } from "vitest";

describe("hasErrorCode", () => {
  test("knows our codes and the system's", () => {
    const system = Object.assign(new Error("gone"), { code: "ENOENT" });
    const ours = new ContentError("ERR_CONTENT_TOO_LARGE", "too large");
    expect(hasErrorCode(system, "EACCES", "ENOENT")).toBe(true);
    expect(hasErrorCode(ours, "ERR_CONTENT_TOO_LARGE")).toBe(true);
    expect(hasErrorCode(ours, "ENOENT")).toBe(false);
  });

  test.for([undefined, null, "ENOENT", 7, {}, { code: "ENOENT" }])(
    "takes %j for no error",
    (value) => {
      expect(hasErrorCode(value, "ENOENT")).toBe(false);
    },
  );
});

describe("errorKind", () => {
  test("is the kind of any copy's error, and of no other", () => {
    class Foreign extends CodedError<"ERR_FOREIGN_X"> {}
    expect(errorKind(new Foreign("ERR_FOREIGN_X", "StoreBusy", "busy"))).toBe("StoreBusy");
    expect(
      errorKind(Object.assign(new Error("x"), { code: "ENOENT", kind: "StoreBusy" })),
    ).toBeUndefined();
    expect(errorKind(new Error("x"))).toBeUndefined();
  });
});

test("a coded error carries cause and hint, and no hint where there is none", () => {
  const cause = new Error("root");
  expect(new ContentError("ERR_CONTENT_NOT_FOUND", "x", { cause, hint: "pull it" })).toMatchObject({
    cause,
    hint: "pull it",
  });
  expect("hint" in new ContentError("ERR_CONTENT_NOT_FOUND", "x")).toBe(false);
});
