import { isShortName } from "@stowage/reference";
import { expect, test } from "vitest";

test.for(["busybox", "library/busybox:1", "localhost", "q.io", "0".repeat(64)])(
  "R13 %s names no registry",
  (text) => expect(isShortName(text)).toBe(true),
);

test.for(["q.io/a", "localhost/a", "host:5000/a", "", "a b", "-x"])(
  "%j names one, or is no reference",
  (text) => expect(isShortName(text)).toBe(false),
);
