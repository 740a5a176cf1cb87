import { hasPeer } from "@stowage/testkit";
import { expect, test } from "vitest";

import { benchHere, requireOneManifest } from "../src/here-row.ts";
import { SOURCE_MAIN } from "./support/source-main.ts";

const NEEDED = ["docker-registry", "podman", "tar", "gzip"];
const CAN_RUN = process.getuid?.() === 0 && NEEDED.every(hasPeer);

test.skipIf(!CAN_RUN)(
  "here: what is here already costs one request for its manifest, and none for a blob",
  async () => {
    const found = await benchHere({ size: 1, layers: 1, pairs: 1, main: SOURCE_MAIN });
    expect(found).toMatchObject({ row: "here", peer: "podman", target: 1 });
    const asked = /ours asks: (.*); theirs:/.exec(found.note ?? "")?.[1]?.split(", ") ?? [];
    const things = asked.filter((request) => request !== "GET /v2/");
    expect(things).toEqual(["GET /v2/bench/image/manifests/it"]);
  },
);

test.for([
  [["GET /v2/", "HEAD /v2/a/b/manifests/it"], true],
  [["GET /v2/a/b/manifests/it", "GET /v2/a/b/manifests/sha256:1"], false],
  [["GET /v2/a/b/manifests/it", "GET /v2/a/b/blobs/sha256:1"], false],
  [["GET /v2/a/b/blobs/sha256:1"], false],
  [["GET /v2/a/b/manifests/it", "GET /v2/a/b/tags/list"], false],
  [[], false],
] as const)("that %j is one manifest alone is %s", ([requests, expected]) => {
  const judge = (): void => requireOneManifest(requests);
  if (expected) expect(judge).not.toThrow();
  else expect(judge).toThrow(/already took/);
});
