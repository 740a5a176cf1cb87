import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { textOf, watchWorld } from "@stowage/testkit";

import { goodAnswer } from "../support/good-answer.ts";
import { HostsWorld } from "../support/hosts-world.ts";

const KEY = "canary-header-7f3a";
const USER = Buffer.from("mirror:canary-header-pass").toString("base64");
const CHANNELS = ["request", "retry", "blob"].map((name) => `stowage:registry:${name}`);

describe("a header of a hosts.toml", () => {
  test("goes to its own server with each request, and to nobody that it sends to", async () => {
    await using watched = await watchWorld({
      secrets: [KEY, USER, "canary-header-pass"],
      channels: CHANNELS,
    });
    await using world = new HostsWorld();
    const storage = await world.start({ address: "127.0.0.3" });
    const tokens = await world.start({
      address: "127.0.0.4",
      script: () => ({ body: JSON.stringify({ token: "ticket", expires_in: 3600 }) }),
    });
    const mirror = await world.start({
      address: "127.0.0.2",
      script: ({ path, headers }) => {
        if (headers["x-key"] !== KEY) return { status: 403 };
        if (headers.authorization !== "Bearer ticket") {
          const challenge = `Bearer realm="${tokens.url}/token",service="it"`;
          return { status: 401, headers: { "www-authenticate": challenge } };
        }
        if (path.includes("/manifests/")) return goodAnswer(world.image, { path, headers });
        return { do: [{ redirect: `${storage.url}${path.split("?")[0]}` }] };
      },
    });
    const registry = await world.start();
    world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"
[host."${mirror.url}".header]
  X-Key = "${KEY}"
  authorization = "Basic ${USER}"
  user-agent = "mine"
  accept = "text/plain"
`,
    );
    await world.pull(world.repository(registry.host));
    for (const event of world.events) watched.note(event);
    expect(mirror.requests.length).toBeGreaterThan(3);
    for (const { headers } of mirror.requests) {
      expect(headers).toMatchObject({ "x-key": KEY, "user-agent": "mine" });
    }
    // The token that it wants takes the place of what was written.
    expect(mirror.requests.map(({ headers }) => headers.authorization?.split(" ")[0])).toEqual([
      "Basic",
      "Bearer",
      "Bearer",
      "Bearer",
    ]);
    // What a request needs is not replaced.
    expect(mirror.requests[0]?.headers.accept).toContain("manifest");
    expect([tokens.requests.length, storage.requests.length, registry.requests.length]).toEqual([
      1, 2, 0,
    ]);
    for (const { headers } of [...tokens.requests, ...storage.requests]) {
      expect(JSON.stringify(headers)).not.toMatch(new RegExp(`${KEY}|${USER}|mine`, "u"));
    }
  });

  test("is in no message, whatever the server says", async () => {
    await using world = new HostsWorld();
    const chatty = {
      status: 400,
      headers: { warning: `299 - "you sent ${KEY} and ${USER}"` },
      body: JSON.stringify({
        errors: [
          { code: "DENIED", message: `${KEY} ${USER} Basic ${USER} mirror:canary-header-pass` },
        ],
      }),
    };
    const registry = await world.start({ script: () => chatty });
    world.write(
      `${registry.host}/hosts.toml`,
      `server = "${registry.url}"\n[header]\nx-key = ["${KEY}", "b"]\nauthorization = "Basic ${USER}"\n`,
    );
    const failure: unknown = await world
      .repository(registry.host)
      .fetchManifest(world.tag)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "ERR_REGISTRY_PROTOCOL" });
    const told = `${textOf(failure)}${inspect(world.events, { depth: 9 })}`;
    expect(told).toContain("redacted");
    expect(told).not.toMatch(new RegExp(`${KEY}|${USER}|canary-header-pass`, "u"));
    expect(registry.requests[0]?.headers["x-key"]).toBe(`${KEY}, b`);
  });
});
