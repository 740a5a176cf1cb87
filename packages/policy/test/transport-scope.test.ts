import { findUnreachableScopes, parsePolicy } from "@stowage/policy";
import { describe, expect, test } from "vitest";

const DIGEST = `sha256:${"0".repeat(64)}`;

describe("findUnreachableScopes", () => {
  test.for([
    "",
    "q.io",
    "localhost",
    "localhost:5000",
    "host:5000",
    "docker.io",
    "docker.io/library",
    "docker.io/library/busybox",
    "docker.io/library/busybox:1",
    `q.io/a@${DIGEST}`,
    "q.io/a/b/c",
    "*.example.com",
    "*.io",
  ])("P06, P07 finds nothing wrong with %j", (scope) => {
    expect(findUnreachableScopes(policyOf("docker", scope))).toEqual([]);
  });

  test.for([
    "busybox",
    "library/busybox",
    "index.docker.io",
    "https://q.io",
    "HTTPS://q.io/a",
    "q.io/",
    "q.io/a/",
    "/q.io",
    "*",
    "*.",
    "*example.com",
    "a.*.com",
    "*.com:5000",
    "*.q.io/a",
    "q.io/A",
    "q.io:0",
    `q.io/a:1@${DIGEST}`,
    "q.io/a:1:2",
    "docker://q.io",
  ])("P07, P08 warns of %j", (scope) => {
    expect(findUnreachableScopes(policyOf("docker", scope))).toEqual([
      { transport: "docker", scope },
    ]);
  });
});

describe("scopes of other transports", () => {
  test.for([
    ["dir", "/a"],
    ["oci", "/a/b"],
    ["oci-archive", "/a.tar"],
    ["docker-daemon", "docker.io/library/x:1"],
    ["containers-storage", "[/var/lib]"],
    ["containers-storage", "[overlay@/var/lib]docker.io/library/x"],
    ["atomic", "host/ns/stream:tag"],
    ["tarball", "anything"],
    ["unheard-of", "anything"],
  ] as const)("%s may have %s", ([transport, scope]) => {
    expect(policyOf(transport, scope).transports[transport]).toHaveProperty([scope]);
  });

  test.for([
    ["dir", "/"],
    ["dir", "a"],
    ["dir", "/a/"],
    ["dir", "/a/../b"],
    ["oci", "/a//b"],
    ["oci-archive", "a.tar"],
    ["docker-archive", "/a.tar"],
    ["docker-daemon", DIGEST],
    ["containers-storage", "docker.io/x"],
    ["containers-storage", "[overlay@var/lib]"],
    ["containers-storage", "[@/var/lib]"],
    ["containers-storage", "[/var/lib"],
    ["atomic", "a/b/c/d"],
    ["atomic", "a/b:1/c"],
  ] as const)("%s may not have %s", ([transport, scope]) => {
    expect(() => policyOf(transport, scope)).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID_CONFIG" }),
    );
  });

  test.for(["docker", "dir", "docker-archive", "containers-storage", "atomic"])(
    '%s may have "", which is all of it',
    (transport) => {
      expect(policyOf(transport, "").transports[transport]).toHaveProperty([""]);
    },
  );
});

function policyOf(transport: string, scope: string) {
  const requirements = [{ type: "reject" }];
  return parsePolicy(
    JSON.stringify({
      default: requirements,
      transports: { [transport]: { [scope]: requirements } },
    }),
  );
}
