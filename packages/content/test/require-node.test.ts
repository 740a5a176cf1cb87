import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { requireNode } from "../src/require-node.ts";

test.each(["0.10.48", "18.20.8", "20.20.2", "22.9.0", "22.22.1"])(
  "Node %s is refused, by name",
  (version) => {
    const refused = expect.objectContaining({
      code: "ERR_CONTENT_UNSUPPORTED_NODE",
      message: expect.stringContaining(version),
    });
    expect(() => requireNode(version)).toThrow(refused);
  },
);

test.each(["22.22.2", "22.100.0", "24.15.0", "26.0.0", "100.0.0", undefined])(
  "Node %s passes",
  (version) => {
    requireNode(version);
  },
);

test("what is refused is what is older than the manifest allows", () => {
  const manifest = new URL("../package.json", import.meta.url);
  const { engines } = JSON.parse(readFileSync(manifest, "utf8"));
  const oldest = /^\^(\d+)\.(\d+)\.(\d+) /.exec(engines.node)?.slice(1).map(Number) ?? [];
  const [major = 0, minor = 0, patch = 0] = oldest;
  requireNode(`${major}.${minor}.${patch}`);
  expect(() => requireNode(`${major}.${minor}.${patch - 1}`)).toThrow(
    expect.objectContaining({ code: "ERR_CONTENT_UNSUPPORTED_NODE" }),
  );
});
