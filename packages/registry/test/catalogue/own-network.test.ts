import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { hasPeer } from "@stowage/testkit";
import { beforeAll, describe, expect, test } from "vitest";

const CHILD = join(import.meta.dirname, "../support/network-child.ts");
const isPossible =
  process.getuid?.() === 0 && ["unshare", "ip", "iptables", "ip6tables", "mount"].every(hasPeer);

// As long as the link is down, in milliseconds.
const PAUSE = 700;
const CASES = [
  "nxdomain",
  "servfail",
  "timeout",
  "mirror-nxdomain",
  "wrong-first",
  "ipv6-blackhole",
  "loss",
  "link-down",
] as const;

describe.runIf(isPossible)("a network of its own (if root, with unshare, ip and iptables)", () => {
  let found: Record<(typeof CASES)[number], Record<string, unknown>>;

  beforeAll(async () => {
    const node = [process.execPath, "--conditions=@stowage/source", CHILD, ...CASES];
    const { stdout } = await promisify(execFile)("unshare", ["--net", "--mount", ...node]);
    found = JSON.parse(stdout) as typeof found;
  }, 60_000);

  test.for([
    ["N18 a name that there is not", "nxdomain"],
    ["N18 a name server that fails", "servfail"],
    ["N18 a name server that is silent", "timeout"],
  ] as const)("%s: RegistryUnavailable that names the host", ([, name]) => {
    expect(found[name]).toMatchObject({
      kind: "RegistryUnavailable",
      message: expect.stringContaining("registry.test"),
    });
  });

  test("N18 a mirror whose name there is not: the next place", () => {
    expect(found["mirror-nxdomain"]).toMatchObject({
      kind: "success",
      whole: true,
      events: expect.arrayContaining(["mirror-failed"]),
    });
  });

  test("N18 a wrong address before the right one: the right one", () => {
    expect(found["wrong-first"]).toMatchObject({ kind: "success", whole: true });
  });

  test("N19 IPv6 that swallows everything: IPv4 within a second more", () => {
    expect(found["ipv6-blackhole"]).toMatchObject({ kind: "success", whole: true });
    expect(found["ipv6-blackhole"]["milliseconds"]).toBeLessThan(2000);
  });

  test("N26 a fifth of all packets lost: slower, and no error", () => {
    expect(found["loss"]).toMatchObject({ kind: "success", whole: true });
    expect(found["loss"]["dropped"]).toBeGreaterThan(0);
  });

  test("N27 a link that goes down, and comes back: the pull goes on", () => {
    expect(found["link-down"]).toMatchObject({ kind: "success", whole: true });
    expect(found["link-down"]["milliseconds"]).toBeGreaterThan(PAUSE);
  });
});
