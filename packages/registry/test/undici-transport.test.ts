import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { UndiciTransport } from "@stowage/registry";
import { describe, expect, test } from "vitest";

import { makeCertificate, TempDir } from "./support/docker-registry.ts";
import { serve } from "./support/scripted-server.ts";

describe("UndiciTransport", () => {
  test("H05 H39 a name at a private address, named by a public registry, is not connected to", async () => {
    await using server = await serve((_, response) => response.end(), { name: "localhost" });
    await using transport = new UndiciTransport();
    const request = { method: "GET", url: new URL(server.origin), headers: {} } as const;
    await expect(transport.request({ ...request, namedBy: "8.8.8.8" }, {})).rejects.toMatchObject({
      kind: "AuthRealmRefused",
    });
    expect(server.requests).toEqual([]);
    const answer = await transport.request({ ...request, namedBy: "127.0.0.1" }, {});
    answer.cancel();
    expect(answer.status).toBe(200);
  });

  test("V12 asks for no compression, follows nothing, and passes bytes on as they are", async () => {
    await using server = await serve((_, response) =>
      response.writeHead(302, { location: "/elsewhere", "content-encoding": "gzip" }).end("body"),
    );
    await using transport = new UndiciTransport();
    const { status, body } = await transport.request(
      { method: "GET", url: new URL(server.origin), headers: {} },
      {},
    );
    expect(status).toBe(302);
    expect(await Array.fromAsync(body)).toEqual([]);
    expect(server.requests.map(({ headers }) => headers["accept-encoding"])).toEqual(["identity"]);
  });

  test("a reader that waits holds the sender back, and then gets every byte", async () => {
    const size = 64 * 1024 * 1024;
    let sent = 0;
    await using server = await serve((_, response) => {
      response.writeHead(200, { "content-length": size });
      const chunk = Buffer.alloc(64 * 1024);
      const send = (): void => {
        while (sent < size) {
          sent += chunk.byteLength;
          if (!response.write(chunk)) return void response.once("drain", send);
        }
        response.end();
      };
      send();
    });
    await using transport = new UndiciTransport();
    const request = { method: "GET", url: new URL(server.origin), headers: {} } as const;
    const { body } = await transport.request(request, {});
    const iterator = body[Symbol.asyncIterator]();
    let received = (await iterator.next()).value?.byteLength ?? 0;
    let before = -1;
    // Until the sender stands still.
    await expect.poll(() => before === (before = sent), { interval: 200 }).toBe(true);
    expect(sent).toBeLessThan(size / 2);
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      received += next.value.byteLength;
    }
    expect(received).toBe(size);
  });

  test("a body that is given up half-way fails its reader, and does not end as if it were whole", async () => {
    await using server = await serve((_, response) => {
      response.writeHead(200, { "content-length": 100 }).write("half");
    });
    await using transport = new UndiciTransport();
    const request = { method: "GET", url: new URL(server.origin), headers: {} } as const;
    const { body, cancel } = await transport.request(request, {});
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    const rest = iterator.next();
    cancel();
    await expect(rest).rejects.toMatchObject({ code: "ERR_REGISTRY_UNAVAILABLE" });
  });

  test.for([
    ["expired", "DNS:localhost", "-1"],
    ["for another name", "DNS:other.example", "2"],
  ] as const)("H36 a certificate that is %s is TlsFailed", async ([, san, days]) => {
    using directory = new TempDir();
    const { ca, key } = makeCertificate(directory);
    const path = directory.file("bad.crt");
    directory.write("san", `subjectAltName=${san}\n`);
    const args = ["-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "san", "-days", days];
    execFileSync("openssl", ["x509", "-req", "-in", "server.csr", ...args, "-out", path], {
      cwd: directory.path,
      stdio: "ignore",
    });
    const pem = { cert: readFileSync(path, "utf8"), key: readFileSync(key, "utf8") };
    const options = { tls: pem, name: "localhost" };
    await using server = await serve((_, response) => response.end(), options);
    await using transport = new UndiciTransport();
    const url = new URL(server.origin);
    await expect(
      transport.request({ method: "GET", url, headers: {}, tls: { ca: [ca] } }, {}),
    ).rejects.toMatchObject({ code: "ERR_REGISTRY_TLS", retryable: false });
    expect(server.requests).toEqual([]);
  });
});
