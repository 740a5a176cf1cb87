import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";

import { digestOf, type JsonValue, parseDigest } from "@stowage/content";
import { parseReference } from "@stowage/reference";
import {
  archiveDestination,
  copyImage,
  dockerDaemonDestination,
  type DockerDaemonOptions,
  openDockerDaemon,
  openLayoutFolder,
} from "@stowage/registry";
import {
  buildImage,
  createTar,
  type FaultyRegistry,
  hasPeer,
  makeCertificates,
  type RecordedRequest,
  type ScriptedAnswer,
  startFaultyRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";
import { describe, expect, test } from "vitest";

const NAME = parseReference("app:1");
const FULL = "docker.io/library/app:1";
const IMAGE = buildImage({ layers: [{ entries: [{ name: "hello", content: "from us" }] }] });
const CONFIG = JSON.parse(Buffer.from(IMAGE.manifest).toString()).config.digest as string;
const GET = `/v1.47/images/${FULL.replace(":", "%3A")}/get`;
const SILENCE = { type: "stall", after: 0 } as const;
const TAR = { "content-type": "application/x-tar" };

describe("an image of a daemon", () => {
  test("whose archive is a layout keeps the digest that the daemon gives it", async () => {
    await using world = await startWorld(await archiveOf(IMAGE));
    await using source = await openDockerDaemon(NAME, world.options);
    expect((await source.fetchRoot()).descriptor.digest).toBe(IMAGE.descriptor.digest);
    expect(world.daemon.requests.map(({ path }) => path)).toEqual([
      "/_ping",
      GET.replace("/get", "/json"),
      GET,
    ]);
  });

  test("lies in no file that has a name, and leaves none behind", async () => {
    await using world = await startWorld(await archiveOf(IMAGE));
    await using source = await openDockerDaemon(NAME, world.options);
    await source.fetchRoot();
    expect(await readdir(world.spool)).toEqual([]);
  });

  test("of another ID than was asked for is refused", async () => {
    await using world = await startWorld(await archiveOf(IMAGE));
    const asked = parseDigest(digestOf(Buffer.from("another image")));
    await expect(openDockerDaemon(asked, world.options)).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
    const same = await openDockerDaemon(parseDigest(CONFIG), world.options);
    await same[Symbol.asyncDispose]();
  });

  test("of an index that the daemon has some of is copied as far as it is there", async () => {
    const absent = { ...IMAGE.descriptor, digest: digestOf(Buffer.from("not here")), size: 8 };
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const document = { schemaVersion: 2, mediaType, manifests: [IMAGE.descriptor, absent] };
    const index = Buffer.from(JSON.stringify(document));
    const root = { mediaType, digest: digestOf(index), size: index.length };
    const files = [...IMAGE.blobs].map(([digest, { bytes }]) => ({
      name: blobPath(digest),
      bytes,
    }));
    const tar = createTar(
      [
        ...files,
        { name: blobPath(root.digest), bytes: index },
        { name: "index.json", bytes: json({ schemaVersion: 2, manifests: [root] }) },
      ].map(({ name, bytes }) => ({ name, content: bytes })),
    );
    await using world = await startWorld(tar);
    await using source = await openDockerDaemon(NAME, world.options);
    await using destination = archiveDestination("oci-archive", join(world.folder, "out.tar"));
    const copied = await copyImage(source, destination);
    expect(copied).toMatchObject({ descriptor: { digest: root.digest }, manifests: 2 });
  });
});

describe("a hostile daemon", () => {
  const archive = archiveOf(IMAGE);
  const hostile: readonly (readonly [what: string, answer: ScriptedAnswer, code: string])[] = [
    ["an error", { status: 500, body: '{"message":"disk on fire"}' }, "ERR_REGISTRY_DAEMON_FAILED"],
    ["a refusal", { status: 403, body: '{"message":"not you"}' }, "ERR_REGISTRY_DENIED"],
    ["a redirect", { do: [{ redirect: "http://127.0.0.1:9/" }] }, "ERR_REGISTRY_PROTOCOL"],
    ["a page", { headers: { "content-type": "text/html" }, body: "hi" }, "ERR_REGISTRY_PROTOCOL"],
    ["zeros without end", endless(TAR), "ERR_REGISTRY_INVALID_LAYOUT"],
    ["no byte at all", { headers: TAR, body: "" }, "ERR_REGISTRY_INVALID_LAYOUT"],
    ["silence", { headers: TAR, body: "x", fault: SILENCE }, "ERR_REGISTRY_STALLED"],
    ["no answer", { do: [{ wait: new Promise(() => {}) }] }, "ERR_REGISTRY_STALLED"],
    ["words without end", { status: 500, ...endless({}) }, "ERR_REGISTRY_TOO_LARGE"],
    ["its failure", { headers: TAR, body: failure("no layer") }, "ERR_REGISTRY_DAEMON_FAILED"],
  ];
  test.for(hostile)("that answers with %s", async ([, answer, code]) => {
    await using world = await startWorld(answer);
    await expect(openDockerDaemon(NAME, world.options)).rejects.toMatchObject({ code });
    expect(await readdir(world.spool)).toEqual([]);
  });

  test.for([
    ["breaks off", { fault: { type: "cut", after: 2000 } }, "ERR_REGISTRY_UNAVAILABLE"],
    ["ends early", { cut: 2000 }, "ERR_REGISTRY_INVALID_LAYOUT"],
    ["fails half-way", { cut: 1536, tail: failure("no layer") }, "ERR_REGISTRY_DAEMON_FAILED"],
    ["alters a byte", { fault: { type: "flip", bit: 8 * 1540 } }, "ERR_CONTENT_DIGEST_MISMATCH"],
  ] as const)("whose archive %s", async ([, how, code]) => {
    const whole = await archive;
    const body = "cut" in how ? whole.subarray(0, how.cut) : whole;
    const tail = "tail" in how ? Buffer.from(how.tail) : Buffer.alloc(0);
    const fault = "fault" in how ? how.fault : undefined;
    await using world = await startWorld({
      headers: TAR,
      body: Buffer.concat([body, tail]),
      ...(fault && { fault }),
    });
    const copying = async (): Promise<void> => {
      await using source = await openDockerDaemon(NAME, world.options);
      await using destination = archiveDestination("oci-archive", join(world.folder, "out.tar"));
      await copyImage(source, destination);
    };
    await expect(copying()).rejects.toMatchObject({ code });
    expect(await readdir(world.folder)).toEqual(["sock", "spool"]);
  });

  test("whose words are told shows no control character", async () => {
    const body = JSON.stringify({ message: "no\u001b[2Jsuch" });
    await using world = await startWorld({ status: 404, body });
    await expect(openDockerDaemon(NAME, world.options)).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
      message: expect.not.stringContaining("\u001b"),
    });
  });

  test("an archive over the limit is given up, and the reader's abort is its reason", async () => {
    await using world = await startWorld(await archive);
    const limited = openDockerDaemon(NAME, { ...world.options, maxBytes: 1024 });
    await expect(limited).rejects.toMatchObject({ code: "ERR_REGISTRY_TOO_LARGE" });
    const stop = new AbortController();
    const reason = new Error("enough");
    world.answer({ headers: TAR, body: await archive, do: [{ sendBytes: 512 }, { stall: true }] });
    const { signal } = stop;
    const stopped = openDockerDaemon(NAME, { ...world.options, stallTimeout: 60_000, signal });
    await expect.poll(() => world.daemon.requests.at(-1)?.path).toBe(GET);
    stop.abort(reason);
    await expect(stopped).rejects.toBe(reason);
  });
});

describe("an image for a daemon", () => {
  test("is handed over whole, with its name as Docker and as containerd have it", async () => {
    await using world = await startWorld({ body: '{"stream":"Loaded image: app:1\\n"}\r\n' });
    await load(world);
    const [, upload] = world.daemon.requests;
    expect(upload?.path).toBe("/v1.47/images/load?quiet=1");
    expect(upload?.headers["content-length"]).toBe(`${upload?.body.length}`);
    const text = upload?.body.toString("latin1") ?? "";
    expect(text).toContain(`"RepoTags":["${FULL}"]`);
    expect(text).toContain(`"io.containerd.image.name":"${FULL}"`);
    expect(await readdir(world.spool)).toEqual([]);
  });

  test.for([
    ["a failure that comes with 200", { body: failure("no room") }, "ERR_REGISTRY_DAEMON_FAILED"],
    ["a failure", { status: 500, body: '{"message":"no"}' }, "ERR_REGISTRY_DAEMON_FAILED"],
    ["what is no message", { body: "<html>" }, "ERR_REGISTRY_PROTOCOL"],
    ["silence", { body: "x", fault: SILENCE }, "ERR_REGISTRY_STALLED"],
  ] as const)("is not there after %s", async ([, answer, code]) => {
    await using world = await startWorld(answer);
    await expect(load(world)).rejects.toMatchObject({ code });
  });

  test("is not there if the daemon stops taking it", async () => {
    await using folder = await tempDir();
    const path = join(folder.path, "sock");
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\napi-version: 1.47\r\ncontent-length: 0\r\n\r\n");
        socket.pause();
      });
    }).listen(path);
    await once(server, "listening");
    const big = buildImage({ layers: [{ tar: randomBytes(4 << 20), compression: "none" }] });
    const env = { DOCKER_HOST: `unix://${path}`, TMPDIR: folder.path };
    const loading = loadInto({ env, stallTimeout: 300, answerTimeout: 60_000 }, big);
    await expect(loading).rejects.toMatchObject({ code: "ERR_REGISTRY_STALLED" });
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test("is not there if the daemon has another under its name afterwards", async () => {
    await using world = await startWorld({ body: "" }, `sha256:${"7".repeat(64)}`);
    await expect(load(world)).rejects.toMatchObject({ code: "ERR_CONTENT_DIGEST_MISMATCH" });
  });

  test("has a tag, and no digest, for a name", () => {
    const digested = parseReference(`app@${CONFIG}`);
    expect(() => dockerDaemonDestination(digested)).toThrow(
      expect.objectContaining({ code: "ERR_REGISTRY_INVALID_ARGUMENT" }),
    );
  });

  test("of more bytes than may be spooled is refused before it is fetched", async () => {
    await using world = await startWorld({ body: "" });
    await expect(load(world, { maxBytes: 16 })).rejects.toMatchObject({
      code: "ERR_REGISTRY_TOO_LARGE",
    });
    expect(world.daemon.requests).toEqual([]);
  });
});

describe("the daemon that is meant", () => {
  test("is looked for at DOCKER_HOST, and where none is there that is said", async () => {
    await using folder = await tempDir();
    const env = { DOCKER_HOST: `unix://${folder.path}/none.sock`, TMPDIR: folder.path };
    await expect(openDockerDaemon(NAME, { env })).rejects.toMatchObject({
      code: "ERR_REGISTRY_UNAVAILABLE",
      hint: expect.stringContaining("DOCKER_HOST"),
    });
  });

  test.for([
    "ssh://me:secret@host",
    "unix://relative",
    "npipe:////./pipe/x",
    "tcp://",
    "tcp://a/b",
  ])("is not at %s", async (host) => {
    const opening = openDockerDaemon(NAME, { env: { DOCKER_HOST: host } });
    await expect(opening).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_ARGUMENT",
      message: expect.not.stringContaining("secret"),
    });
  });

  test.skipIf(!hasPeer("openssl"))("proves who it is, where it is spoken to over TLS", async () => {
    await using folder = await tempDir();
    const [ours, theirs] = ["ours", "theirs"].map((name) => join(folder.path, name));
    const certificates = await makeCertificates(folder.path);
    const other = await makeCertificates(await mkdtemp(join(folder.path, "other-")));
    for (const [path, authority] of [
      [ours, certificates.authority],
      [theirs, other.authority],
    ] as const) {
      await mkdir(path ?? "");
      await copyFile(authority, `${path}/ca.pem`);
      await copyFile(certificates.client.certificate, `${path}/cert.pem`);
      await copyFile(certificates.client.key, `${path}/key.pem`);
    }
    await using daemon = await startFaultyRegistry({
      tls: { ...certificates.server, clientAuthority: certificates.authority },
      script: scriptOf(() => ({ status: 404, body: '{"message":"none"}' })),
    });
    const host = daemon.url.replace("https", "tcp");
    const open = (env: object) => openDockerDaemon(NAME, { env: { DOCKER_HOST: host, ...env } });
    // Neither in the clear, nor with anybody who shows a certificate.
    await expect(open({})).rejects.toMatchObject({ kind: "RegistryUnavailable" });
    expect(daemon.requests).toEqual([]);
    await expect(open({ DOCKER_CERT_PATH: theirs })).rejects.toMatchObject({
      code: "ERR_REGISTRY_TLS",
    });
    expect(daemon.requests).toEqual([]);
    await expect(open({ DOCKER_TLS_VERIFY: "1", DOCKER_CONFIG: ours })).rejects.toMatchObject({
      code: "ERR_REGISTRY_NOT_FOUND",
    });
    expect(daemon.requests.map(({ clientName }) => clientName)).toContain("client");
    await expect(open({ DOCKER_CERT_PATH: folder.path })).rejects.toMatchObject({
      code: "ERR_REGISTRY_INVALID_CERTIFICATE",
    });
  });

  test("is no web server", async () => {
    await using server = await startFaultyRegistry({ script: () => ({ body: "hello" }) });
    const env = { DOCKER_HOST: server.url.replace("http", "tcp") };
    await expect(openDockerDaemon(NAME, { env })).rejects.toMatchObject({
      code: "ERR_REGISTRY_PROTOCOL",
    });
    expect(server.requests.map(({ path }) => path)).toEqual(["/_ping"]);
  });
});

interface World extends AsyncDisposable {
  readonly folder: string;
  readonly spool: string;
  readonly daemon: FaultyRegistry;
  readonly options: DockerDaemonOptions;
  answer(next: ScriptedAnswer): void;
}

/** A daemon at a Unix socket whose answer about images is scripted. */
async function startWorld(first: ScriptedAnswer | Uint8Array, id = CONFIG): Promise<World> {
  const folder = await tempDir();
  const spool = join(folder.path, "spool");
  let answer: ScriptedAnswer = isBytes(first) ? { headers: TAR, body: first } : first;
  const socketPath = join(folder.path, "sock");
  const script = scriptOf((path) => (path.endsWith("/json") ? { body: json({ Id: id }) } : answer));
  const daemon = await startFaultyRegistry({ socketPath, script });
  await mkdir(spool);
  return {
    folder: folder.path,
    spool,
    daemon,
    options: {
      env: { DOCKER_HOST: `unix://${socketPath}`, TMPDIR: spool },
      answerTimeout: 300,
      stallTimeout: 300,
    },
    answer: (next) => void (answer = next),
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function scriptOf(answer: (path: string) => ScriptedAnswer) {
  return ({ path }: RecordedRequest): ScriptedAnswer =>
    path === "/_ping" ? { headers: { "api-version": "1.47" }, body: "OK" } : answer(path);
}

async function load(world: World, options: DockerDaemonOptions = {}): Promise<void> {
  await loadInto({ ...world.options, ...options }, IMAGE);
}

async function loadInto(options: DockerDaemonOptions, image: typeof IMAGE): Promise<void> {
  await using folder = await tempDir();
  const layout = join(folder.path, "layout");
  await writeOciLayout(layout, { it: image });
  await using source = await openLayoutFolder(layout, "it");
  await using destination = dockerDaemonDestination(NAME, options);
  await copyImage(source, destination);
}

async function archiveOf(image: typeof IMAGE): Promise<Buffer> {
  await using folder = await tempDir();
  const layout = join(folder.path, "layout");
  await writeOciLayout(layout, { it: image });
  const path = join(folder.path, "it.tar");
  await using source = await openLayoutFolder(layout, "it");
  await using destination = archiveDestination("docker-archive", path, FULL);
  await copyImage(source, destination);
  return readFile(path);
}

function endless(headers: Readonly<Record<string, string>>): ScriptedAnswer {
  return { do: [{ headers: { ...headers, "content-length": null } }, { endless: true }] };
}

function failure(message: string): string {
  return `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function json(value: JsonValue): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function isBytes(value: ScriptedAnswer | Uint8Array): value is Uint8Array {
  return value instanceof Uint8Array;
}
