import {
  familiarReference,
  familiarRepository,
  parseReference,
  registryEndpointHost,
} from "@stowage/reference";
import { expect, test } from "vitest";

const DIGEST = `sha256:${"0".repeat(64)}`;

test.for([
  ["docker.io/library/busybox:1", "busybox:1"],
  ["docker.io/user/img", "user/img"],
  ["docker.io/library/a/b", "library/a/b"],
  ["q.io/library/busybox", "q.io/library/busybox"],
  [`docker.io/library/busybox:1@${DIGEST}`, `busybox:1@${DIGEST}`],
] as const)("%s is familiar as %s", ([full, familiar]) => {
  expect(familiarReference(parseReference(full))).toBe(familiar);
  expect(parseReference(familiar)).toEqual(parseReference(full));
});

test("familiarRepository leaves tag and digest out", () => {
  expect(familiarRepository(parseReference("busybox:1").repository)).toBe("busybox");
});

test("Docker Hub is reached at another host than it is named, and no other registry is", () => {
  expect(registryEndpointHost("docker.io")).toBe("registry-1.docker.io");
  expect(registryEndpointHost("DOCKER.IO")).toBe("DOCKER.IO");
  expect(registryEndpointHost("docker.io:443")).toBe("docker.io:443");
});
