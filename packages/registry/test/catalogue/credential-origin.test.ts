import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";

import { parseRepository } from "@stowage/reference";
import { createRegistryClient, loadCredentials, UndiciTransport } from "@stowage/registry";
import { textOf } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { held } from "../support/push-built.ts";
import { basic, challengeTo, openStage, SECRETS, type Stage } from "../support/stage.ts";

describe("a credential's origin", () => {
  test("V03 an upload sent to another host takes none along, by POST, PATCH and PUT", async () => {
    await using stage = await openStage();
    const location = `${stage.blobs.url}/upload/1?state=x`;
    stage.fault(/blobs\/sha256/u, [{ status: 404 }, { body: "" }], { method: "HEAD" });
    stage.fault(/uploads/u, [{ status: 202 }, { headers: { location } }], { method: "POST" });
    stage.blobs.rules.push(
      {
        match: { method: "PATCH" },
        do: [{ status: 202 }, { headers: { location: "/upload/2" } }],
      },
      { match: { method: "PUT" }, do: [{ status: 201 }] },
    );
    const { bytes, descriptor } = stage.layer;
    await stage.repository.pushBlob(descriptor, held(bytes), { chunkSize: 60_000 });
    const methods = stage.blobs.requests.map(({ method }) => method);
    expect(methods).toEqual(["PATCH", "PATCH", "PUT"]);
    expect(stage.blobs.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("V03 an upload sent to where clouds keep their secrets goes nowhere", async () => {
    await using stage = await openStage();
    const location = "http://169.254.169.254/upload";
    stage.fault(/blobs\/sha256/u, [{ status: 404 }, { body: "" }], { method: "HEAD" });
    stage.fault(/uploads/u, [{ status: 202 }, { headers: { location } }], { method: "POST" });
    const { bytes, descriptor } = stage.layer;
    await stage.refuses("RedirectRefused", () =>
      stage.repository.pushBlob(descriptor, held(bytes)),
    );
  });

  test("V03 V04 Basic, given tokens and made ones all stay at their own origin", async () => {
    await using stage = await openStage();
    const { host } = stage.registry;
    const body = stage.image.manifest;
    for (const [credentials, expected] of [
      [{ username: "user", password: SECRETS.password }, basic("user", SECRETS.password)],
      [{ bearerToken: SECRETS.token }, `Bearer ${SECRETS.token}`],
      [{ identityToken: SECRETS.password }, "Bearer made"],
    ] as const) {
      const { rules } = stage.registry;
      rules.length = 0;
      rules.push({
        match: { headers: { authorization: /./u } },
        do: [{ redirect: `${stage.blobs.url}/x` }],
      });
      const challenge =
        "identityToken" in credentials
          ? `Bearer realm="${stage.tokens.url}/token"`
          : 'Basic realm="x"';
      rules.push({ do: [{ status: 401 }, { headers: { "www-authenticate": challenge } }] });
      stage.tokens.rules.push({ match: { method: "POST" }, do: [{ body: '{"token":"made"}' }] });
      stage.blobs.rules.push({ do: [{ body }] });
      await using client = createRegistryClient({ plainHttp: true, credentials });
      await client.repository(parseRepository(`${host}/team/app`)).fetchManifest(stage.manifest);
      expect(stage.registry.requests.at(-1)?.headers.authorization).toBe(expected);
      expect(stage.blobs.requests.at(-1)?.headers.authorization).toBeUndefined();
    }
    const [refreshed] = stage.tokens.requests.filter(({ method }) => method === "POST");
    const form = new URLSearchParams(refreshed?.body.toString());
    expect(form.get("refresh_token")).toBe(SECRETS.password);
    expect(form.get("scope")).toBe("repository:team/app:pull");
  });

  test("V04 V09 neither the client nor what it sends to its transport shows who we are", async () => {
    await using stage = await openStage();
    await stage.fetchManifest();
    expect(textOf(stage.client)).not.toContain("canary");
    expect(inspect(stage.repository, { depth: 50, showHidden: true })).not.toContain("canary");
  });

  test("V09 what the token server says of our password is told to nobody", async () => {
    await using stage = await openStage();
    const said = `${SECRETS.password} ${basic("user", SECRETS.password)}`;
    const body = JSON.stringify({ errors: [{ code: "UNAVAILABLE", message: said }] });
    stage.tokens.rules.push({ do: [{ status: 503 }, { body }] });
    const failure = await stage.refuses("RegistryUnavailable", () => stage.fetchManifest());
    expect(failure["message"]).toContain("UNAVAILABLE");
  });

  test("V02 a token server elsewhere is asked over TLS only, and by a registry inside only if inside", async () => {
    await using stage = await openStage();
    const asked: string[] = [];
    for (const realm of [
      "http://auth.example.com/token",
      "https://127.0.0.1/token",
      "https://0x7f000001/token",
      "https://2130706433/token",
      "https://[::ffff:127.0.0.1]/token",
      "https://[::1]/token",
      "https://0.0.0.0/token",
      "https://localhost/token",
      "https://a.localhost/token",
      "https://10.0.0.1/token",
      "https://192.168.1.1/token",
      "https://100.64.0.1/token",
      "https://[fd00::1]/token",
    ]) {
      await using client = createRegistryClient({
        credentials: { username: "user", password: SECRETS.password },
        transport: async ({ url }) => {
          asked.push(url.host);
          const headers = { "www-authenticate": `Bearer realm="${realm}"` };
          return { status: 401, headers, body: nothing(), cancel: () => {} };
        },
      });
      const repository = client.repository(parseRepository("8.8.8.8:5000/team/app"));
      const failure: unknown = await repository
        .fetchManifest(stage.manifest)
        .catch((error: unknown) => error);
      stage.world.note(failure);
      expect(failure).toMatchObject({ kind: "AuthRealmRefused" });
    }
    expect(new Set(asked)).toEqual(new Set(["8.8.8.8:5000"]));
  });

  test.for([
    ["a name", "localhost"],
    ["an address", "127.0.0.4"],
    ["an address in other clothes", "[::ffff:127.0.0.4]"],
  ] as const)(
    "H05 H17 H39 %s inside, named by a registry on the internet, is refused as it is connected to",
    async ([, host]) => {
      await using stage = await openStage();
      await using transport = new UndiciTransport();
      const { port } = new URL(stage.attacker.url);
      const url = new URL(`http://${host}:${port}/`);
      const request = { method: "GET", url, headers: {}, namedBy: "8.8.8.8" } as const;
      for (const [namedFor, kind] of [
        ["tokens", "AuthRealmRefused"],
        ["content", "RedirectRefused"],
      ] as const) {
        const failure: unknown = await transport
          .request({ ...request, namedFor }, {})
          .catch((error: unknown) => error);
        expect(failure).toMatchObject({ kind });
      }
      expect(stage.attacker.accepted).toBe(0);
    },
  );

  test("H17 V03 a redirect says who sent us, so that the connection can be refused", async () => {
    await using stage = await openStage();
    const named: (readonly (string | undefined)[])[] = [];
    await using client = createRegistryClient({
      transport: async ({ url, namedBy, namedFor }) => {
        named.push([url.host, namedBy, namedFor]);
        const headers = url.host === "8.8.8.8" ? { location: "https://10.0.0.1/x" } : {};
        const status = url.host === "8.8.8.8" ? 307 : 404;
        return { status, headers, body: nothing(), cancel: () => {} };
      },
    });
    const repository = client.repository(parseRepository("8.8.8.8/team/app"));
    await expect(repository.fetchManifest(stage.manifest)).rejects.toMatchObject({ status: 404 });
    expect(named).toEqual([
      ["8.8.8.8", undefined, undefined],
      ["10.0.0.1", "8.8.8.8", "content"],
    ]);
  });
});

describe("a credential helper", () => {
  test.for([
    ["is not there", "credsStore", "stowage-absent"],
    ["has a path for a name", "credsStore", "../../bin/sh"],
    ["is of one host, and not there", "credHelpers", "stowage-absent"],
  ] as const)(
    "V06 that %s is CredHelperFailed or a bad file, and nothing is asked",
    async ([, field, name]) => {
      await using stage = await openStage();
      const { host } = stage.registry;
      const authfile = join(stage.world.place, "auth.json");
      const entry = field === "credsStore" ? name : { [host]: name };
      // An entry that is not for this host is not for it either when its helper fails.
      const auths = { [host]: {}, "127.0.0.9": { auth: "b3RoZXI6b3RoZXI=" } };
      await writeFile(authfile, JSON.stringify({ auths, [field]: entry }));
      await using client = createRegistryClient({
        plainHttp: true,
        credentials: loadCredentials({ authfile }),
      });
      const repository = client.repository(parseRepository(`${host}/team/app`));
      const failure: unknown = await repository
        .fetchManifest(stage.manifest)
        .catch((error: unknown) => error);
      stage.world.note(failure);
      expect(failure).toMatchObject({
        kind: expect.stringMatching(/^(?:CredHelperFailed|ConfigFileInvalid)$/u),
      });
      expect(stage.registry.requests.map(({ headers }) => headers.authorization)).toEqual(
        stage.registry.requests.map(() => undefined),
      );
    },
  );

  test.for(["h.io\nhost=evil", "h.io%0ahost=evil", "h.io\r", "h .io", "h.io/../x", "\u0000"])(
    "V08 is never started for the host %j",
    async (host) => {
      await using stage = await openStage();
      const { place } = stage.world;
      const path = join(place, "bin");
      await mkdir(path);
      const helper = join(path, "docker-credential-canary");
      await writeFile(helper, `#!/bin/sh\ntouch ${place}/started\necho '{}'\n`);
      await chmod(helper, 0o755);
      const authfile = join(place, "auth.json");
      await writeFile(authfile, JSON.stringify({ credsStore: "canary", auths: { [host]: {} } }));
      const env = { PATH: `${path}:${process.env["PATH"]}`, HOME: place };
      const found = await loadCredentials({ authfile, env })(host, "team/app").catch(
        (error: unknown) => error,
      );
      expect(found === undefined || found instanceof Error).toBe(true);
      expect(await readdir(place)).not.toContain("started");
      expect(() => parseRepository(`${host}/team/app`)).toThrow(/./u);
    },
  );
});

describe("a challenge of another origin", () => {
  test("V01 V02 V14 is heard by nobody, whatever it names", async () => {
    await using stage = await openStage();
    stage.fault(/blobs/u, [{ redirect: `${stage.blobs.url}/layer` }]);
    const { status = 401, headers = {} } = challengeTo(stage.tokens);
    stage.blobs.rules.push({ do: [{ status }, { headers: { ...headers } }] });
    const before = await tokenRequests(stage);
    await stage.refuses("AuthFailed", () => stage.readLayer());
    expect(stage.tokens.requests).toHaveLength(before + 1);
    expect(stage.blobs.requests).toHaveLength(1);
  });
});

async function tokenRequests({ tokens }: Stage): Promise<number> {
  return tokens.requests.length;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
