import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, get } from "node:https";
import type { AddressInfo } from "node:net";

import { hasPeer, makeCertificates, tempDir } from "@stowage/testkit";
import { expect, test } from "vitest";

test.runIf(hasPeer("openssl"))(
  "makes a server and a client that believe each other by their authority (if openssl is installed)",
  async () => {
    await using folder = await tempDir();
    const { authority, server: own, client } = await makeCertificates(folder.path);
    const ca = await readFile(authority);
    const server = createServer(
      {
        ca,
        cert: await readFile(own.certificate),
        key: await readFile(own.key),
        requestCert: true,
      },
      (_, response) => response.end("hello"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    for (const host of ["127.0.0.1", "localhost"]) {
      const request = get({
        host,
        port,
        ca,
        cert: await readFile(client.certificate),
        key: await readFile(client.key),
        agent: false,
      });
      const [response] = (await once(request, "response")) as [AsyncIterable<Uint8Array>];
      expect(Buffer.concat(await Array.fromAsync(response)).toString()).toBe("hello");
    }
    server.close();
    await once(server, "close");
    const certificate = new X509Certificate(await readFile(own.certificate));
    expect(certificate.checkIP("::1")).toBe("::1");
  },
);
