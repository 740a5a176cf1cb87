import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { goodAnswer } from "../support/good-answer.ts";
import { challengeTo, openStage, SECRETS } from "../support/stage.ts";

const LATEST = parseTag("latest");

describe("a token server", () => {
  test("H06 V02 that sends elsewhere is not followed", async () => {
    await using stage = await openStage();
    stage.tokens.rules.push({ do: [{ redirect: `${stage.attacker.url}/token` }] });
    await stage.refuses("RedirectRefused", () => stage.fetchManifest());
    expect(stage.attacker.accepted).toBe(0);
  });

  test.for([
    ["10 MiB", `{"token":"${"x".repeat(10 * 1024 * 1024)}"}`],
    ["64 KiB and a byte", `{"token":"${"x".repeat(64 * 1024 - 11)}"}`],
    ["no JSON", `<html>${SECRETS.token}`],
    ["no token", "{}"],
    ["a number", '{"token":1}'],
    ["two that differ", `{"token":"${SECRETS.token}","access_token":"other"}`],
    ["a list", `["${SECRETS.token}"]`],
    ["a lifetime of 1e99", `{"token":"${SECRETS.token}","expires_in":1e99}`],
  ] as const)("H08 that answers %s: AuthFailed", async ([, body]) => {
    await using stage = await openStage();
    stage.tokens.rules.push({ do: [{ body }] });
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    expect(stage.registry.requests).toHaveLength(1);
  });

  test("H08 without an end is read no further than 64 KiB", async () => {
    await using stage = await openStage();
    const headers = { "content-length": null };
    stage.tokens.rules.push({ do: [{ headers }, { endless: true }] });
    await stage.refuses("AuthFailed", () => stage.fetchManifest());
    await expect.poll(() => stage.tokens.sockets.size).toBe(0);
  });

  test.for([-1, 0, 1e15, "60", null, undefined])(
    "H08 a lifetime of %j is at least a minute, and no header of the clock matters",
    async (seconds) => {
      await using stage = await openStage();
      const document = {
        token: SECRETS.token,
        expires_in: seconds,
        issued_at: "9999-12-31T00:00:00Z",
      };
      stage.tokens.rules.push({ do: [{ body: JSON.stringify(document) }] });
      await stage.fetchManifest();
      await stage.fetchManifest();
      expect(stage.tokens.requests).toHaveLength(1);
    },
  );

  test.for(["\\r\\nX-Evil: 1", "\\n", "\\u0000", " a", "ä", "\\u2028"])(
    "H09 whose token has %j in it: AuthFailed, and no header of its making",
    async (evil) => {
      await using stage = await openStage();
      stage.tokens.rules.push({ do: [{ body: `{"token":"${SECRETS.token}${evil}"}` }] });
      await stage.refuses("AuthFailed", () => stage.fetchManifest());
      expect(stage.registry.requests).toHaveLength(1);
    },
  );

  test("N12 a token that expires in the middle of a pull is renewed once for all", async () => {
    await using stage = await openStage();
    await stage.fetchManifest();
    stage.tokens.rules.push({
      do: [{ sleep: 30 }, { body: `{"token":"${SECRETS.token}-2"}` }],
    });
    const { url } = stage.tokens;
    stage.registry.rules.push(
      {
        match: { headers: { authorization: /-2$/u } },
        do: [{ body: stage.image.manifest }],
      },
      { do: [{ status: 401 }, { headers: { "www-authenticate": `Bearer realm="${url}/token"` } }] },
    );
    stage.tokens.requests.length = 0;
    await Promise.all(Array.from({ length: 20 }, () => stage.fetchManifest()));
    expect(stage.tokens.requests).toHaveLength(1);
  });

  test.for([
    ["answers 500", "RegistryUnavailable", [{ status: 500 }]],
    ["ends the connection", "RegistryUnavailable", [{ reset: true }]],
    ["is silent", "PullStalled", [{ sleep: 5000 }]],
    ["refuses", "AuthFailed", [{ sleep: 100 }, { status: 401 }]],
  ] as const)("N13 that %s: %s, and no herd of requests", async ([, kind, steps]) => {
    await using stage = await openStage({ stallTimeout: 200 });
    stage.tokens.rules.push({ do: steps });
    const asked = Array.from({ length: 20 }, () =>
      stage.refuses(kind, () => stage.fetchManifest()),
    );
    await Promise.all(asked);
    expect(stage.tokens.requests.length).toBeLessThanOrEqual(10);
  });

  test("N13 that is slow is waited for by all at once", async () => {
    await using stage = await openStage();
    stage.tokens.rules.push({
      do: [{ sleep: 100 }, { body: JSON.stringify({ token: SECRETS.token }) }],
    });
    await Promise.all(Array.from({ length: 20 }, () => stage.fetchManifest()));
    expect(stage.tokens.requests).toHaveLength(1);
  });

  test("N14 whose token is good for manifests, not for blobs: AuthFailed that names the blob", async () => {
    await using stage = await openStage();
    const { status, headers } = challengeTo(stage.tokens) as { status: number; headers: object };
    stage.registry.rules.push({
      match: { path: /blobs/u },
      do: [{ status }, { headers: { ...headers } }],
    });
    const { message } = await stage.refuses("AuthFailed", () => stage.readLayer());
    expect(message).toContain(stage.layer.descriptor.digest);
    expect(stage.tokens.requests.length).toBeLessThanOrEqual(2);
  });

  test("V14 is asked for the scope of the operation, whatever the challenge says", async () => {
    await using stage = await openStage();
    const wide = ',scope="repository:team/app:pull,push,delete registry:catalog:*"';
    const { status, headers } = challengeTo(stage.tokens, wide) as {
      status: number;
      headers: object;
    };
    stage.registry.rules.push({ match: { nth: 1 }, do: [{ status }, { headers: { ...headers } }] });
    await stage.fetchManifest();
    const { searchParams } = new URL(stage.tokens.requests[0]?.path ?? "", "http://x");
    expect(searchParams.getAll("scope")).toEqual(["repository:team/app:pull"]);
  });

  test("V11 two who pull the same share neither answer nor token", async () => {
    await using stage = await openStage();
    await stage.fetchManifest();
    const before = stage.registry.requests.length;
    await using other = createRegistryClient({ plainHttp: true, retryDelay: 1 });
    const repository = other.repository(parseRepository(`${stage.registry.host}/team/app`));
    await stage.refuses("AuthFailed", () => repository.fetchManifest(LATEST));
    expect(
      stage.registry.requests.slice(before).map(({ headers }) => headers.authorization),
    ).toEqual([undefined]);
    // The same client asks again, too: nothing is kept.
    stage.registry.rules.push({
      match: { path: /manifests/u },
      do: [
        { headers: { "cache-control": "max-age=600" } },
        { body: goodAnswer(stage.image, { path: "/manifests/", headers: {} }).body ?? "" },
      ],
    });
    await stage.fetchManifest();
    await stage.fetchManifest();
    expect(stage.registry.requests.slice(before + 1)).toHaveLength(2);
  });
});
