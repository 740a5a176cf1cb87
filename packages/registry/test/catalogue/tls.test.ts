import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { parseRepository } from "@stowage/reference";
import { createRegistryClient, UndiciTransport } from "@stowage/registry";
import {
  type Certificates,
  hasPeer,
  makeCertificates,
  makeSelfSigned,
  startFaultyRegistry,
  startRawServer,
  tempDir,
} from "@stowage/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { openStage, SECRETS } from "../support/stage.ts";

let folder: Awaited<ReturnType<typeof tempDir>>;
let files: Certificates;
let ca: string;

beforeAll(async () => {
  folder = await tempDir();
  files = await makeCertificates(folder.path);
  ca = await readFile(files.authority, "utf8");
});

afterAll(() => folder[Symbol.asyncDispose]());

describe("TLS", () => {
  test.for([
    ["stands for itself", () => makeSelfSigned(folder.path, "self", "localhost")],
    ["has expired", () => files.sign("expired", { names: "IP:127.0.0.1", days: -1 })],
    ["is for another name", () => files.sign("other", { names: "DNS:other.example" })],
    ["is for another address", () => files.sign("elsewhere", { names: "IP:127.0.0.9" })],
    ["is for clients", async () => files.client],
  ] as const)(
    "H36 V05 a certificate that %s: TlsFailed, and not a byte is asked",
    async ([, make]) => {
      await using stage = await openStage({ certificates: { files, ca } });
      await stage.registry.rotate(await make());
      expect(await stage.refuses("TlsFailed", () => stage.fetchManifest())).toMatchObject({
        retryable: false,
      });
      expect(stage.registry.requests).toEqual([]);
      await stage.registry.rotate(files.server);
    },
  );

  test("H36 V10 an authority that the client was not told of is TlsFailed, for tokens, too", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    await using stranger = createRegistryClient({ retryDelay: 1 });
    const repository = stranger.repository(parseRepository(`${stage.registry.host}/team/app`));
    await stage.refuses("TlsFailed", () => repository.fetchManifest(stage.manifest));
    expect(stage.registry.requests).toEqual([]);
    await stage.tokens.rotate(await makeSelfSigned(folder.path, "tokens", "localhost"));
    await stage.refuses("TlsFailed", () => stage.fetchManifest());
    expect(stage.tokens.requests).toEqual([]);
    await stage.tokens.rotate(files.server);
  });

  test.for(["TLSv1", "TLSv1.1"] as const)("H36 %s is TlsFailed", async (version) => {
    await using stage = await openStage({ certificates: { files, ca } });
    await using old = await startFaultyRegistry({ tls: { ...files.server, version } });
    const repository = stage.client.repository(parseRepository(`${old.host}/team/app`));
    await stage.refuses("TlsFailed", () => repository.fetchManifest(stage.manifest));
    expect(old.requests).toEqual([]);
  });

  test("H36 a certificate is asked of the client: shown by its own host's settings, to no other", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    const [cert, key] = await Promise.all([
      readFile(files.client.certificate, "utf8"),
      readFile(files.client.key, "utf8"),
    ]);
    const tls = { ...files.server, clientAuthority: files.authority };
    await using asking = await startFaultyRegistry({ tls, address: "127.0.0.1" });
    await using elsewhere = await startFaultyRegistry({ tls, address: "127.0.0.2" });
    const body = stage.image.manifest;
    asking.rules.push({ match: { nth: 1 }, do: [{ body }] });
    asking.rules.push({ do: [{ redirect: `${elsewhere.url}/x` }] });
    const named = parseRepository(`${asking.host}/team/app`);
    await using client = createRegistryClient({ retryDelay: 1, tls: { ca: [ca], cert, key } });
    await client.repository(named).fetchManifest(stage.manifest);
    expect(asking.requests.map(({ clientName }) => clientName)).toEqual(["client"]);
    const again = () => client.repository(named).fetchManifest(stage.manifest);
    await stage.refuses("TlsFailed", again);
    expect(elsewhere.accepted).toBeGreaterThan(0);
    expect(elsewhere.requests).toEqual([]);
  });

  test.runIf(hasPeer("openssl"))(
    "H36 a certificate that is asked for and not there is TlsFailed (if openssl is installed)",
    async () => {
      await using stage = await openStage({ certificates: { files, ca } });
      const { certificate, key } = files.server;
      const server = spawn(
        "openssl",
        ["s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www"].concat([
          "-CAfile",
          files.authority,
          "-Verify",
          "1",
          "-verify_return_error",
        ]),
        { stdio: ["ignore", "pipe", "ignore"] },
      );
      const ended = once(server, "close");
      let host: string | undefined;
      for await (const line of createInterface(server.stdout)) {
        host = /^ACCEPT (\S+)/u.exec(line)?.[1];
        if (host !== undefined) break;
      }
      const repository = stage.client.repository(parseRepository(`${host}/team/app`));
      const failure = await stage.refuses("TlsFailed", () =>
        repository.fetchManifest(stage.manifest),
      );
      expect(failure["hint"]).toContain("client certificate");
      server.kill("SIGKILL");
      await ended;
    },
  );

  test("V05 a server of plain HTTP hears nothing but the beginning of TLS", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    await using plain = await startRawServer({
      onConnection: (socket) => {
        socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      },
    });
    const repository = stage.client.repository(parseRepository(`${plain.host}/team/app`));
    await stage.refuses("TlsFailed", () => repository.fetchManifest(stage.manifest));
    expect(plain.received).toMatch(/^\u0016\u0003/u);
    expect(plain.received).not.toMatch(/GET|HTTP|manifests/u);
    for (const secret of Object.values(SECRETS)) expect(plain.received).not.toContain(secret);
  });

  test("N25 a handshake that nobody answers is given up in its time", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    await using silent = await startRawServer({});
    await using transport = new UndiciTransport({ connectTimeout: 150 });
    await using client = createRegistryClient({
      transport: transport.request,
      retryDelay: 1,
      attempts: 2,
    });
    const repository = client.repository(parseRepository(`${silent.host}/team/app`));
    const started = performance.now();
    await stage.refuses("RegistryUnavailable", () => repository.fetchManifest(stage.manifest));
    expect(performance.now() - started).toBeLessThan(4000);
  });

  test("N25 a certificate that changes between requests is checked anew", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    const close = { headers: { connection: "close" } };
    stage.fault(/manifests/u, [close, { body: stage.image.manifest }]);
    await stage.fetchManifest();
    await stage.registry.rotate(await files.sign("next", { names: "IP:127.0.0.1" }));
    await stage.fetchManifest();
    await stage.registry.rotate(await files.sign("late", { names: "IP:127.0.0.1", days: -1 }));
    await stage.refuses("TlsFailed", () => stage.fetchManifest());
    await stage.registry.rotate(files.server);
  });

  test("N25 N03 an end without TLS's own end, and without a length, is SizeMismatch", async () => {
    await using stage = await openStage({ certificates: { files, ca } });
    const { bytes, descriptor } = stage.layer;
    await using server = await startRawServer({
      tls: files.server,
      onRequest: (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        // Gone without a word of TLS.
        socket.write(bytes.subarray(0, 50_000), () => socket.destroy());
      },
    });
    const repository = stage.client.repository(parseRepository(`${server.host}/team/app`));
    const read = () => Array.fromAsync(repository.openContent(descriptor));
    await stage.refuses("SizeMismatch", read);
  });
});
