import { digestOf } from "@stowage/content";
import { parseRepository } from "@stowage/reference";
import { createRegistryClient } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { type Script, serve } from "./support/scripted-server.ts";

const MANIFEST = digestOf(Buffer.from("{}"));
const EXTENSION = `/extensions/v2/team/app/signatures/${MANIFEST}`;

describe("signatureFiles", () => {
  test("are those of version 2 and type atomic", async () => {
    const entry = { schemaVersion: 2, type: "atomic", name: `${MANIFEST}@1` };
    const signatures = [
      { ...entry, content: Buffer.from("one").toString("base64") },
      { ...entry, schemaVersion: 1, content: 1 },
      { ...entry, type: "other" },
      null,
      { ...entry, content: Buffer.from("two").toString("base64") },
    ];
    await using server = await serve(keeping(JSON.stringify({ signatures })));
    const files = await filesAt(server.host);
    expect(files?.map((bytes) => Buffer.from(bytes).toString())).toEqual(["one", "two"]);
    expect(server.requests.map(({ path }) => path)).toEqual(["/v2/", EXTENSION]);
  });

  test("are not asked for where the registry does not say that it has any", async () => {
    await using server = await serve((_, response) => response.end("{}"));
    expect(await filesAt(server.host)).toBeUndefined();
    expect(server.requests.map(({ path }) => path)).toEqual(["/v2/"]);
  });

  test("are asked for as the registry said when it was asked whether it speaks TLS", async () => {
    await using server = await serve(keeping('{"signatures":[]}'));
    await using client = createRegistryClient({ tls: { verify: false } });
    const repository = client.repository(parseRepository(`${server.host}/team/app`));
    await repository.hasContent({ digest: MANIFEST, size: 2 });
    expect(await repository.signatureFiles(MANIFEST)).toEqual([]);
    expect(await repository.signatureFiles(MANIFEST)).toEqual([]);
    const paths = server.requests.map(({ path }) => path);
    expect(paths).toEqual(["/v2/", `/v2/team/app/blobs/${MANIFEST}`, EXTENSION, EXTENSION]);
  });

  test.for(["{}", '{"signatures":null}', '{"signatures":[]}'])("are none in %s", async (body) => {
    await using server = await serve(keeping(body));
    expect(await filesAt(server.host)).toEqual([]);
  });

  test.for([
    "",
    "[]",
    "<html>",
    '{"signatures":{}}',
    '{"signatures":[],"signatures":[]}',
    '{"signatures":[{"schemaVersion":2,"type":"atomic","content":"a b"}]}',
    '{"signatures":[{"schemaVersion":2,"type":"atomic"}]}',
  ])("are an error in %s", async (body) => {
    await using server = await serve(keeping(body));
    await expect(filesAt(server.host)).rejects.toMatchObject({ code: "ERR_REGISTRY_PROTOCOL" });
  });

  test.for([
    [403, "ERR_REGISTRY_DENIED"],
    [404, "ERR_REGISTRY_NOT_FOUND"],
    [500, "ERR_REGISTRY_UNAVAILABLE"],
  ] as const)("S18 that cannot be read (%s) are not absent", async ([status, code]) => {
    await using server = await serve(({ url }, response) =>
      url === "/v2/"
        ? response.setHeader("x-registry-supports-signatures", "1").end()
        : response.writeHead(status).end(),
    );
    await expect(filesAt(server.host)).rejects.toMatchObject({ code });
  });

  test("S18 nobody knows of any where the registry is down", async () => {
    await using server = await serve((_, response) => response.writeHead(503).end());
    await expect(filesAt(server.host)).rejects.toMatchObject({ code: "ERR_REGISTRY_UNAVAILABLE" });
  });

  test("S15 of more than 24 MiB are too many", async () => {
    await using server = await serve(({ url }, response) =>
      url === "/v2/"
        ? response.setHeader("x-registry-supports-signatures", "1").end()
        : response.setHeader("content-length", 24 * 1024 * 1024 + 1).end("{"),
    );
    await expect(filesAt(server.host)).rejects.toMatchObject({ code: "ERR_REGISTRY_TOO_LARGE" });
  });
});

function keeping(body: string): Script {
  return ({ url }, response) =>
    url === "/v2/"
      ? response.setHeader("x-registry-supports-signatures", "1").end()
      : response.end(body);
}

async function filesAt(host: string): Promise<readonly Uint8Array[] | undefined> {
  await using client = createRegistryClient({ plainHttp: true, attempts: 1 });
  return await client.repository(parseRepository(`${host}/team/app`)).signatureFiles(MANIFEST);
}
