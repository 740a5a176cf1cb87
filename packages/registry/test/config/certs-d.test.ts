import { copyFileSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";

import { parseRepository, parseTag } from "@stowage/reference";
import {
  type ConfigEvent,
  createRegistryClient,
  type HostTlsLookup,
  loadHostTls,
} from "@stowage/registry";
import { makeCertificates } from "@stowage/testkit";
import { describe, expect, test } from "vitest";

import { makeCertificate, startDockerRegistry, TempDir } from "../support/docker-registry.ts";
import { vectorsOf } from "../support/registries-vectors.ts";
import { serve } from "../support/scripted-server.ts";

const LATEST = parseTag("latest");

describe("certs.d", () => {
  test.for(vectorsOf("certsDir").map((vector) => [vector.id, vector] as const))(
    "%s",
    async ([id, { input, expect: expected }]) => {
      using directory = new TempDir();
      const { caPath } = makeCertificate(directory);
      for (const place of input.exists) {
        mkdirSync(realPath(directory, place), { recursive: true });
        copyFileSync(caPath, `${realPath(directory, place)}/ca.crt`);
      }
      const sources: string[] = [];
      const lookup = loadHostTls({
        env: { HOME: directory.file("home") },
        etc: directory.file("etc"),
        onEvent: (event) => event.type === "certificates" && sources.push(event.source),
      });
      const found = await lookup(input.hostport);
      if (id !== "CD-01") {
        expect([found, sources]).toEqual([undefined, []]);
        return;
      }
      expect(sources).toEqual([realPath(directory, String(expected["dir"]))]);
      expect(found?.ca).toHaveLength(1);
    },
  );

  test.for(vectorsOf("loadCerts").map((vector) => [vector.id, vector] as const))(
    "%s",
    async ([, { input, expect: expected }]) => {
      using directory = new TempDir();
      using certDir = new TempDir();
      const made = makeCertificate(directory);
      for (const name of input.files) copyFileSync(sourceOf(name, made), certDir.file(name));
      const found = await loadHostTls({ certDir: certDir.path, env: {} })("h.io");
      expect(found?.ca ?? []).toHaveLength(String(expected["rootCAs"]).includes("+") ? 1 : 0);
      expect(found?.cert === undefined ? 0 : 1).toBe(expected["clientCerts"] ?? 0);
      expect(found?.authorities).toBeUndefined();
    },
  );

  test("CD-03 Docker Hub's directory is asked for by its name, not by its host's", async () => {
    const asked: string[] = [];
    const tls: HostTlsLookup = async (host) => {
      asked.push(host);
      throw new Error("far enough");
    };
    await using client = createRegistryClient({ tls });
    const hub = client.repository(parseRepository("docker.io/library/busybox"));
    await expect(hub.fetchManifest(LATEST)).rejects.toThrow("far enough");
    expect(new Set(asked)).toEqual(new Set(["docker.io"]));
  });

  test("C16 a directory that cannot be listed stops its host, and no other", async () => {
    using home = new TempDir();
    const certs = home.file(".config/containers/certs.d");
    mkdirSync(certs, { recursive: true });
    symlinkSync("h.io", `${certs}/h.io`);
    const lookup = loadHostTls({ env: { HOME: home.path }, etc: home.file("etc") });
    await expect(lookup("h.io")).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CERTIFICATE",
      message: expect.stringContaining(`${certs}/h.io`),
    });
    expect(await lookup("i.io")).toBeUndefined();
  });
});

describe("a real docker-registry that wants client certificates", () => {
  test("lets in who has one in certs.d, and nobody else", async () => {
    using directory = new TempDir();
    using home = new TempDir();
    const { authority, server, client } = await makeCertificates(directory.path);
    const clientcas = [authority];
    await using registry = await startDockerRegistry({ tls: { ...server, clientcas } });
    const certs = home.file(`etc/containers/certs.d/${registry.host}`);
    mkdirSync(certs, { recursive: true });
    copyFileSync(authority, `${certs}/ca.crt`);
    const ping = async () => {
      const tls = loadHostTls({ env: { HOME: home.path }, etc: home.file("etc") });
      await using registryClient = createRegistryClient({ tls, attempts: 1 });
      const repository = registryClient.repository(parseRepository(`${registry.host}/a`));
      return await repository.fetchManifest(LATEST).catch((error: unknown) => error);
    };
    expect(await ping()).toMatchObject({ kind: "TlsFailed" });
    copyFileSync(client.certificate, `${certs}/me.cert`);
    copyFileSync(client.key, `${certs}/me.key`);
    expect(await ping()).toMatchObject({ kind: "RegistryNotFound" });
  });

  test("H36 a directory for all hosts shows the client's certificate to the registry alone", async () => {
    using directory = new TempDir();
    using certDir = new TempDir();
    const { authority, client, server } = await makeCertificates(directory.path);
    copyFileSync(authority, certDir.file("ca.crt"));
    copyFileSync(client.certificate, certDir.file("me.cert"));
    copyFileSync(client.key, certDir.file("me.key"));
    const shown: (readonly [string, boolean])[] = [];
    const tls = { cert: read(server.certificate), key: read(server.key), requestCert: true };
    const note = (name: string, request: { readonly socket: unknown }): void => {
      const { getPeerCertificate } = request.socket as { getPeerCertificate(): object };
      shown.push([name, Object.keys(getPeerCertificate.call(request.socket)).length > 0]);
    };
    const lax = { tls: { ...tls, rejectUnauthorized: false }, name: "localhost" };
    await using elsewhere = await serve((request, response) => {
      note("elsewhere", request);
      response.writeHead(404).end();
    }, lax);
    await using registry = await serve((request, response) => {
      note("registry", request);
      response.writeHead(307, { location: `${elsewhere.origin}/x` }).end();
    }, lax);
    await using registryClient = createRegistryClient({
      tls: loadHostTls({ certDir: certDir.path }),
    });
    const repository = registryClient.repository(parseRepository(`${registry.host}/a`));
    await repository.fetchManifest(LATEST).catch(() => {});
    expect(shown).toEqual([
      ["registry", true],
      ["elsewhere", false],
    ]);
  });
});

describe("SSL_CERT_FILE and SSL_CERT_DIR", () => {
  test("say whom to trust, instead of the system", async () => {
    using directory = new TempDir();
    const { certificate, key, caPath } = makeCertificate(directory);
    using other = new TempDir();
    const stranger = makeCertificate(other);
    using folder = new TempDir();
    copyFileSync(caPath, folder.file("any-name"));
    folder.write("README", "no certificate");
    await using registry = await startDockerRegistry({ tls: { certificate, key } });
    const fetch = async (env: Readonly<Record<string, string>>) => {
      const tls = loadHostTls({ env: { HOME: directory.path, ...env } });
      await using client = createRegistryClient({ tls, attempts: 1 });
      const repository = client.repository(parseRepository(`${registry.host}/a`));
      return await repository.fetchManifest(LATEST).catch((error: unknown) => error);
    };
    expect(await fetch({})).toMatchObject({ kind: "TlsFailed" });
    expect(await fetch({ SSL_CERT_FILE: caPath })).toMatchObject({ kind: "RegistryNotFound" });
    expect(await fetch({ SSL_CERT_DIR: `/absent:${folder.path}` })).toMatchObject({
      kind: "ConfigFileInvalid",
    });
    expect(await fetch({ SSL_CERT_DIR: folder.path })).toMatchObject({ kind: "RegistryNotFound" });
    expect(await fetch({ SSL_CERT_FILE: stranger.caPath })).toMatchObject({ kind: "TlsFailed" });
    expect(
      await fetch({ SSL_CERT_FILE: stranger.caPath, SSL_CERT_DIR: folder.path }),
    ).toMatchObject({ kind: "RegistryNotFound" });
  });

  test.for(["absent", "", "empty-dir"])("%j is no reason to trust others", async (name) => {
    using directory = new TempDir();
    mkdirSync(directory.file("empty-dir"));
    const env =
      name === "empty-dir"
        ? { SSL_CERT_DIR: directory.file(name) }
        : { SSL_CERT_FILE: name === "" ? directory.path : directory.file(name) };
    await expect(loadHostTls({ env })("h.io")).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CERTIFICATE",
    });
  });

  test("who accepts any certificate needs none", async () => {
    const env = { SSL_CERT_FILE: "/nowhere" };
    expect(await loadHostTls({ env, verify: false })("h.io")).toEqual({ verify: false });
  });

  test("with certs.d both count, and the event tells the directory", async () => {
    using home = new TempDir();
    const { ca, caPath } = makeCertificate(home);
    const certs = home.file(".config/containers/certs.d/h.io");
    mkdirSync(certs, { recursive: true });
    copyFileSync(caPath, `${certs}/ca.crt`);
    const events: ConfigEvent[] = [];
    const env = { HOME: home.path, SSL_CERT_FILE: caPath };
    const lookup = loadHostTls({ env, verify: true, onEvent: (event) => events.push(event) });
    expect(await lookup("h.io")).toEqual({ authorities: [ca.trim()], ca: [ca], verify: true });
    expect(events).toEqual([
      { type: "certificates", host: "h.io", source: certs, authorities: 1, client: false },
    ]);
  });
});

function realPath(directory: TempDir, place: string): string {
  return directory.file(place.replace(/^~/u, "home").replace(/^\//u, ""));
}

function sourceOf(name: string, made: ReturnType<typeof makeCertificate>): string {
  if (name.endsWith(".cert")) return made.certificate;
  return name.endsWith(".key") ? made.key : made.caPath;
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
