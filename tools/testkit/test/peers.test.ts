import { ensurePeers, findPeer, hasPeer, PEERS, requirePeer } from "@stowage/testkit";
import { expect, test } from "vitest";

test("finds what is installed", async () => {
  expect([hasPeer("sh"), findPeer("sh")]).toEqual([true, requirePeer("sh")]);
  expect(await ensurePeers(["sh"])).toEqual([]);
});

test("names what is missing", () => {
  expect([hasPeer("no-such-program"), findPeer("no-such-program")]).toEqual([false, undefined]);
  expect(() => requirePeer("no-such-program")).toThrow("apt-get install no-such-program");
});

test("knows the package of each peer", () => {
  expect(PEERS).toMatchObject({ getfattr: "attr", htpasswd: "apache2-utils" });
});
