import { formatRepository, parseRegistryHost, parseRepository } from "@stowage/reference";
import { describe, expect, test } from "vitest";

describe("parseRepository", () => {
  test("fills in what is left out", () => {
    expect(parseRepository("busybox")).toEqual({ host: "docker.io", path: "library/busybox" });
    expect(formatRepository(parseRepository("q.io:5000/a/b"))).toBe("q.io:5000/a/b");
  });

  test.for(["busybox:1", `busybox@sha256:${"0".repeat(64)}`])("refuses %s", (text) => {
    expect(() => parseRepository(text)).toThrow(
      expect.objectContaining({ code: "ERR_REFERENCE_INVALID" }),
    );
  });
});

describe("parseRegistryHost", () => {
  test.for(["q.io", "localhost", "localhost:5000", "127.0.0.1:1", "xn--n3h.com", "Q.IO"])(
    "reads %s",
    (text) => expect(parseRegistryHost(text)).toBe(text),
  );

  test.for([
    "",
    "q.io/",
    "https://q.io",
    "q.io:",
    "q.io:0",
    "q.io:65536",
    "q.io:080",
    "[::1]:5000",
    "-q.io",
    "q..io",
    "user@q.io",
    "q.io\n",
    `${"a.".repeat(200)}io`,
  ])("R05, R06 refuses %j", (text) => {
    expect(() => parseRegistryHost(text)).toThrow(
      expect.objectContaining({ code: "ERR_REFERENCE_INVALID", kind: "ReferenceInvalid" }),
    );
  });
});
