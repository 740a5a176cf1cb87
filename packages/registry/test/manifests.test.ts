import { digestOf, errorKind, hasErrorCode, MEDIA_TYPE, type Digest } from "@stowage/content";
import { parseRepository, parseTag, type Tag } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeImage } from "./support/images.ts";
import { type Script, type ScriptedServer, serve } from "./support/scripted-server.ts";

const { manifest: MANIFEST } = makeImage([1]);
const DIGEST = digestOf(MANIFEST);
const SHA512 = digestOf(MANIFEST, "sha512");
const OTHER = digestOf(Buffer.from("other"));
const LATEST = parseTag("latest");
const LIMIT = 4 * 1024 * 1024;

describe("fetchManifest", () => {
  test("asks for all types, plainly", async () => {
    await using server = await serve(send());
    await fetchFrom(server, LATEST);
    const [request] = server.requests;
    expect(request?.path).toBe("/v2/team/app/manifests/latest");
    expect(request?.headers["accept-encoding"]).toBe("identity");
    expect(request?.headers.accept?.split(", ")).toEqual(
      expect.arrayContaining([
        MEDIA_TYPE.imageManifest,
        MEDIA_TYPE.imageIndex,
        MEDIA_TYPE.dockerManifest,
        MEDIA_TYPE.dockerManifestList,
      ]),
    );
  });

  test("by sha512, the name stays", async () => {
    await using server = await serve(send());
    expect((await fetchFrom(server, SHA512)).descriptor.digest).toBe(SHA512);
  });

  test.for([
    ["missing", {}, undefined],
    ["right", { "docker-content-digest": DIGEST }, undefined],
    ["right, in sha512", { "docker-content-digest": SHA512 }, undefined],
    ["of an unknown algorithm", { "docker-content-digest": `md5:${"0".repeat(32)}` }, undefined],
    ["malformed", { "docker-content-digest": "sha256:x" }, "RegistryProtocol"],
    ["there twice", { "docker-content-digest": [DIGEST, OTHER] }, "RegistryProtocol"],
    ["of other bytes", { "docker-content-digest": OTHER }, "DigestMismatch"],
  ] as const)("H20 by tag, Docker-Content-Digest is %s: %s", async ([, headers, kind]) => {
    await using server = await serve(send(headers));
    if (kind === undefined) {
      expect((await fetchFrom(server, LATEST)).descriptor.digest).toBe(DIGEST);
    } else {
      await expect(fetchFrom(server, LATEST)).rejects.toMatchObject({ kind });
    }
  });

  test("H20 by digest, the bytes decide", async () => {
    await using server = await serve(send({ "docker-content-digest": OTHER }));
    expect((await fetchFrom(server, DIGEST)).descriptor.digest).toBe(DIGEST);
    await expect(fetchFrom(server, OTHER)).rejects.toMatchObject({ kind: "DigestMismatch" });
  });

  test.for([
    [403, "AuthFailed"],
    [404, "RegistryNotFound"],
    [405, "RegistryProtocol"],
    [406, "RegistryProtocol"],
    [410, "RegistryProtocol"],
    [413, "RegistryProtocol"],
    [416, "RegistryProtocol"],
    [418, "RegistryProtocol"],
    [429, "RateLimited"],
    [451, "RegistryProtocol"],
    [500, "RegistryUnavailable"],
    [204, "RegistryProtocol"],
  ] as const)("H12 status %i is %s", async ([status, kind]) => {
    await using server = await serve((_, response) => response.writeHead(status).end());
    await expect(fetchFrom(server, LATEST)).rejects.toMatchObject({ kind, status });
  });

  test("H12 an endless error body is read no further than 64 KiB", async () => {
    await using server = await serve((_, response) => {
      response.writeHead(404);
      const pour = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", pour);
      pour();
    });
    await expect(fetchFrom(server, LATEST)).rejects.toMatchObject({ kind: "RegistryNotFound" });
  });

  test("H13 the status decides for 404; 200 with errors is no manifest", async () => {
    const errors = JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message: "\u001b[2J" }] });
    await using absent = await serve((_, response) => response.writeHead(404).end(errors));
    await expect(fetchFrom(absent, LATEST)).rejects.toMatchObject({
      kind: "RegistryNotFound",
      diagnostics: [{ code: "UNAUTHORIZED", message: "\\u{1b}[2J" }],
    });
    await using present = await serve((_, response) => response.end(errors));
    await expect(fetchFrom(present, LATEST)).rejects.toMatchObject({ kind: "ManifestInvalid" });
  });

  test("H21 4 MiB pass, a byte more does not, announced or not", async () => {
    const padded = Buffer.concat([MANIFEST, Buffer.alloc(LIMIT - MANIFEST.length, " ")]);
    await using exact = await serve((_, response) => response.end(padded));
    await fetchFrom(exact, LATEST);
    const over = Buffer.concat([padded, Buffer.from(" ")]);
    await using announced = await serve((_, response) => response.end(over));
    await using chunked = await serve((_, response) => {
      response.write(over.subarray(0, 1000));
      response.end(over.subarray(1000));
    });
    for (const server of [announced, chunked]) {
      await expect(fetchFrom(server, LATEST)).rejects.toMatchObject({ kind: "LimitExceeded" });
    }
  });

  test("H21 an empty manifest is invalid, an endless one is left", async () => {
    await using empty = await serve((_, response) => response.end());
    await expect(fetchFrom(empty, LATEST)).rejects.toMatchObject({ kind: "ManifestInvalid" });
    const closed = Promise.withResolvers<void>();
    await using endless = await serve((_, response) => {
      response.on("close", closed.resolve);
      const pour = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", pour);
      pour();
    });
    await expect(fetchFrom(endless, LATEST)).rejects.toMatchObject({ kind: "LimitExceeded" });
    await closed.promise;
  });

  test.for(["gzip", "br", "gzip, gzip", "deflate"])(
    "H26 Content-Encoding %s is RegistryProtocol",
    async (encoding) => {
      await using server = await serve(send({ "content-encoding": encoding }));
      await expect(fetchFrom(server, LATEST)).rejects.toMatchObject({ kind: "RegistryProtocol" });
    },
  );

  test("S0 an error's URL has no query and no user", async () => {
    await using server = await serve((request, response) => {
      if (request.url?.includes("canary") === true) return response.writeHead(404).end();
      return response.writeHead(307, { location: "/signed?canary=1" }).end();
    });
    const failure: unknown = await fetchFrom(server, LATEST).catch((error: unknown) => error);
    expect(errorKind(failure)).toBe("RegistryNotFound");
    expect(hasErrorCode(failure, "ERR_REGISTRY_NOT_FOUND") && failure.message).not.toContain(
      "canary",
    );
  });
});

describe("peekDigest", () => {
  test("takes the registry's word, by one HEAD", async () => {
    await using server = await serve(send({ "docker-content-digest": DIGEST }));
    expect(await peekAt(server)).toBe(DIGEST);
    expect(server.requests.map(({ method }) => method)).toEqual(["HEAD"]);
  });

  test.for([
    ["says no digest", 200],
    ["knows no HEAD", 405],
  ] as const)("asks by GET where the registry %s", async ([, status]) => {
    await using server = await serve((request, response, self) => {
      if (request.method !== "HEAD") return send()(request, response, self);
      return response.writeHead(status).end();
    });
    expect(await peekAt(server)).toBe(DIGEST);
    expect(server.requests.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
  });

  test("answers nothing where there is nothing, and fails where it may not look", async () => {
    let status = 404;
    await using server = await serve((_, response) => response.writeHead(status).end());
    expect(await peekAt(server)).toBeUndefined();
    status = 403;
    await expect(peekAt(server)).rejects.toMatchObject({ code: "ERR_REGISTRY_DENIED" });
  });
});

async function fetchFrom(server: ScriptedServer, target: Tag | Digest) {
  await using client = createRegistryClient({ plainHttp: true, retryDelay: 1 });
  const repository = client.repository(parseRepository(`${server.host}/team/app`));
  return await repository.fetchManifest(target);
}

function send(headers: Record<string, string | readonly string[]> = {}): Script {
  return (_, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    response.setHeader("content-type", MEDIA_TYPE.imageManifest);
    response.end(MANIFEST);
  };
}

async function peekAt(server: ScriptedServer): Promise<Digest | undefined> {
  await using client = createRegistryClient({ plainHttp: true, retryDelay: 1 });
  return await client.repository(parseRepository(`${server.host}/team/app`)).peekDigest(LATEST);
}
