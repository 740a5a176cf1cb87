import { errorKind, MEDIA_TYPE } from "@stowage/content";
import { parseRepository, parseTag } from "@stowage/reference";
import { createRegistryClient, type RegistryClientOptions } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import {
  makeCertificate,
  makeSigningKey,
  startDockerRegistry,
  TempDir,
} from "./support/docker-registry.ts";
import { inspectChain } from "./support/error-chain.ts";
import { json, makeImage, push } from "./support/images.ts";
import { type Script, serve } from "./support/scripted-server.ts";
import { makeToken, startTokenServer } from "./support/token-server.ts";

const MANIFEST = makeImage([]).manifest;
const LATEST = parseTag("latest");
const USER = { username: "user", password: "secret" };

describe("R17 Bearer at a real docker-registry", () => {
  test("password, identity token, given token; anonymous is AuthFailed", async () => {
    using directory = new TempDir();
    const key = makeSigningKey(directory);
    await using tokens = await startTokenServer(() => key);
    const { bundle } = key;
    const realm = `${tokens.origin}/token`;
    await using registry = await startDockerRegistry({ token: { realm, service: "test", bundle } });
    const image = makeImage([100, 200, 300]);
    const access = [{ type: "repository", name: "team/app", actions: ["pull", "push"] }];
    const authorization = `Bearer ${makeToken(key, "test", access)}`;
    await push(`http://${registry.host}/v2/team/app`, image, "latest", { authorization });

    const bearerToken = makeToken(key, "test", access);
    for (const [credentials, fetches] of [
      [USER, 1],
      [{ identityToken: "identity-canary" }, 1],
      [{ bearerToken }, 0],
    ] as const) {
      tokens.requests.length = 0;
      await using client = createRegistryClient({ plainHttp: true, credentials });
      const repository = client.repository(parseRepository(`${registry.host}/team/app`));
      await repository.fetchManifest(LATEST);
      await Promise.all(
        image.blobs.map(async ({ descriptor }) =>
          Array.fromAsync(repository.openContent(descriptor)),
        ),
      );
      expect(tokens.requests).toHaveLength(fetches);
    }
    await expect(fetchFrom(registry.host)).rejects.toMatchObject({ kind: "AuthFailed" });
  });
});

test("a token that its server gave and the registry refuses is told so, with both by name", async () => {
  await using tokens = await serve((_, response) => response.end('{"token":"good"}'));
  await using server = await serve(challenge(`${tokens.origin}/token`));
  await expect(fetchFrom(server.host, { credentials: USER })).rejects.toMatchObject({
    code: "ERR_REGISTRY_AUTH_FAILED",
    hint: expect.stringMatching(
      RegExp(`${tokens.host} took the credentials for ${server.host}.*refuses its token`, "u"),
    ),
  });
});

describe("challenges", () => {
  test.for([
    ["none", []],
    ["an empty one", [""]],
    ["an unknown scheme", ["Negotiate abc=="]],
    ["fifty", Array.from({ length: 50 }, (_, at) => `Scheme${at} realm="x"`)],
    ["unbalanced quotes (H07)", ['Bearer realm="http://x']],
    ["escapes at the end (H07)", ['Bearer realm="\\']],
    ["a parameter twice (H07)", ['Bearer realm="http://a/",realm="http://b/"']],
    ["no realm", ['Bearer service="x"']],
    ["8 kB of commas (H07)", [",".repeat(8000)]],
  ] as const)("H02 %s: AuthFailed after one request", async ([, headers]) => {
    await using server = await serve((_, response) => {
      response.writeHead(401, { "www-authenticate": [...headers] }).end();
    });
    await expect(fetchFrom(server.host, { credentials: USER })).rejects.toMatchObject({
      kind: "AuthFailed",
      hint: expect.stringMatching(/stowage login 127\.0\.0\.1:\d+,.*--creds-stdin/),
    });
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]?.headers.authorization).toBeUndefined();
  });

  test("several in one header: the first that is known", async () => {
    await using server = await serve((request, response) => {
      if (request.headers.authorization?.startsWith("Basic ")) return sendManifest(response);
      response
        .writeHead(401, { "www-authenticate": 'Negotiate, Digest realm="a, b", Basic realm="x"' })
        .end();
    });
    await fetchFrom(server.host, { credentials: USER });
  });

  test("H03 an http realm of an https registry is refused, and nothing sent there", async () => {
    using directory = new TempDir();
    const { ca, certificate, key } = makeCertificate(directory);
    const { readFileSync } = await import("node:fs");
    const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
    await using tokens = await serve((_, response) => response.end());
    await using server = await serve(challenge(`${tokens.origin}/token`), { tls });
    await expect(
      fetchFrom(server.host, { plainHttp: false, tls: { ca: [ca] }, credentials: USER }),
    ).rejects.toMatchObject({ kind: "AuthRealmRefused" });
    expect(tokens.requests).toEqual([]);
  });

  test.for([
    "file:///etc/shadow",
    "gopher://127.0.0.1/",
    "javascript:alert(1)",
    "http://u:canary-password@127.0.0.1/",
    "//127.0.0.1/token",
    "/token",
    "token",
    "http:127.0.0.1",
  ])("H04 realm %s is refused", async (realm) => {
    await using server = await serve(challenge(realm));
    const failure = await failureOf(fetchFrom(server.host, { credentials: USER }));
    expect(errorKind(failure)).toBe("AuthRealmRefused");
    expect(inspectChain(failure)).not.toContain("canary-password");
  });

  test("H05 a link-local realm is refused even by a registry on loopback", async () => {
    for (const realm of ["http://169.254.169.254/token", "http://[::ffff:a9fe:a9fe]/token"]) {
      await using server = await serve(challenge(realm));
      await expect(fetchFrom(server.host)).rejects.toMatchObject({ kind: "AuthRealmRefused" });
    }
  });

  test("H05 a private realm is refused for a registry on the internet", async () => {
    const asked: string[] = [];
    for (const realm of [
      "https://127.0.0.1/token",
      "https://0x7f000001/token",
      "https://[::ffff:127.0.0.1]/token",
      "https://localhost/token",
      "https://10.0.0.1/token",
      "https://[fd00::1]/token",
    ]) {
      const fetched = fetchFrom("8.8.8.8:5000", {
        plainHttp: false,
        credentials: USER,
        transport: async ({ url }) => {
          asked.push(url.host);
          const headers = { "www-authenticate": `Bearer realm="${realm}"` };
          return { status: 401, headers, body: emptyBody(), cancel: () => {} };
        },
      });
      await expect(fetched).rejects.toMatchObject({ kind: "AuthRealmRefused" });
    }
    expect(new Set(asked)).toEqual(new Set(["8.8.8.8:5000"]));
  });

  test("H06 a token server that redirects is refused, and nothing follows", async () => {
    await using elsewhere = await serve((_, response) => response.end());
    await using tokens = await serve((_, response) => {
      response.writeHead(302, { location: elsewhere.origin }).end();
    });
    await using server = await serve(challenge(`${tokens.origin}/token`));
    await expect(fetchFrom(server.host, { credentials: USER })).rejects.toMatchObject({
      kind: "RedirectRefused",
    });
    expect(elsewhere.requests).toEqual([]);
  });

  test.for([
    ["10 MiB", `{"token":"${"x".repeat(10 * 1024 * 1024)}"}`],
    ["not JSON", "<html>"],
    ["no token", "{}"],
    ["a number", '{"token":1}'],
    ["two that differ", '{"token":"canary-a","access_token":"canary-b"}'],
    ["CRLF (H09)", '{"token":"canary-a\\r\\nX-Evil: 1"}'],
    ["empty", '{"token":""}'],
    ["a lifetime of 1e99", '{"token":"canary-a","expires_in":1e99}'],
  ] as const)("H08 a token answer with %s: AuthFailed", async ([, answer]) => {
    await using tokens = await serve((_, response) => response.end(answer));
    await using server = await serve(challenge(`${tokens.origin}/token`));
    const failure = await failureOf(fetchFrom(server.host, { credentials: USER }));
    expect(errorKind(failure)).toBe("AuthFailed");
    expect(inspectChain(failure)).not.toMatch(/canary|secret/u);
    expect(server.requests).toHaveLength(1);
  });

  test.for([-1, 0, 1e15, "60", null])("H08 expires_in %j is clamped", async (seconds) => {
    await using tokens = await serve((_, response) =>
      response.end(JSON.stringify({ token: "t", expires_in: seconds, issued_at: "garbage" })),
    );
    await using server = await serve(challenge(`${tokens.origin}/token`, "Bearer t"));
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await repository.fetchManifest(LATEST);
    await repository.fetchManifest(LATEST);
    expect(tokens.requests).toHaveLength(1);
  });

  test("H10 401 for ever with a new scope each time: at most two tokens are fetched", async () => {
    await using tokens = await serve((_, response) => response.end('{"token":"t"}'));
    let count = 0;
    await using server = await serve((request, response) => {
      const scope = `repository:team/app:pull,more${(count += 1)}`;
      challenge(`${tokens.origin}/token",scope="${scope}`)(request, response, server);
    });
    await expect(fetchFrom(server.host)).rejects.toMatchObject({ kind: "AuthFailed" });
    expect(tokens.requests.length).toBeLessThanOrEqual(2);
  });

  test("H11 insufficient_scope for another repository: no token is asked for it", async () => {
    await using tokens = await serve((_, response) => response.end('{"token":"t"}'));
    const rest = '",error="insufficient_scope",scope="repository:other/secret:pull,push,delete';
    await using server = await serve(challenge(`${tokens.origin}/token${rest}`));
    await expect(fetchFrom(server.host)).rejects.toMatchObject({ kind: "AuthFailed" });
    expect(tokens.requests).toEqual([]);
  });

  test("V14 only the scope of the operation is asked for", async () => {
    await using tokens = await serve((_, response) => response.end('{"token":"t"}'));
    const scope = '",scope="repository:team/app:pull,push,delete registry:catalog:*';
    await using server = await serve(challenge(`${tokens.origin}/token${scope}`, "Bearer t"));
    await fetchFrom(server.host);
    const path = new URL(tokens.requests[0]?.path ?? "", "http://x");
    expect(path.searchParams.getAll("scope")).toEqual(["repository:team/app:pull"]);
  });

  test("N12 a token that expires is renewed once for all who wait", async () => {
    let valid = 1;
    await using tokens = await serve((_, response) => response.end(`{"token":"t${(valid += 1)}"}`));
    await using server = await serve((request, response) => {
      challenge(`${tokens.origin}/token`, `Bearer t${valid}`)(request, response, server);
    });
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await repository.fetchManifest(LATEST);
    valid = 7;
    tokens.requests.length = 0;
    await Promise.all(Array.from({ length: 8 }, async () => repository.fetchManifest(LATEST)));
    expect(tokens.requests).toHaveLength(1);
  });

  test("who stops waiting for a token does not disturb the others", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    await using tokens = await serve((_, response) => {
      asked.resolve();
      void answer.promise.then(() => response.end('{"token":"t"}'));
    });
    await using server = await serve(challenge(`${tokens.origin}/token`, "Bearer t"));
    await using client = createRegistryClient({ plainHttp: true });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    const controller = new AbortController();
    const reason = new Error("gone");
    const leaving = repository.fetchManifest(LATEST, { signal: controller.signal });
    const staying = repository.fetchManifest(LATEST);
    await asked.promise;
    controller.abort(reason);
    await expect(leaving).rejects.toBe(reason);
    answer.resolve();
    await staying;
  });

  test("S0 neither password nor token is in any error", async () => {
    const credentials = { username: "user", password: "canary-password" };
    await using tokens = await serve((_, response) => response.end('{"token":"canary-token"}'));
    await using server = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        return challenge(`${tokens.origin}/token?canary-query=1`)(request, response, server);
      }
      const message = `you said ${request.headers.authorization}`;
      response.writeHead(403).end(JSON.stringify({ errors: [{ code: "DENIED", message }] }));
    });
    const failure = await failureOf(fetchFrom(server.host, { credentials }));
    expect(errorKind(failure)).toBe("AuthFailed");
    expect(inspectChain(failure)).toContain("DENIED");
    expect(inspectChain(failure)).not.toContain("canary");
  });
});

async function fetchFrom(host: string, options: RegistryClientOptions = {}): Promise<unknown> {
  await using client = createRegistryClient({ plainHttp: true, retryDelay: 1, ...options });
  return await client.repository(parseRepository(`${host}/team/app`)).fetchManifest(LATEST);
}

/** Asks for a token until `expected` is the authorization. */
function challenge(realm: string, expected?: string): Script {
  return (request, response) => {
    if (expected !== undefined && request.headers.authorization === expected) {
      return sendManifest(response);
    }
    response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}"` });
    response.end(json({ errors: [{ code: "UNAUTHORIZED" }] }));
  };
}

function sendManifest(response: Parameters<Script>[1]): void {
  response.writeHead(200, { "content-type": MEDIA_TYPE.imageManifest }).end(MANIFEST);
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it succeeded"),
    (error: unknown) => error,
  );
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
