import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";

/** A directory that goes with the test. */
export class TempDir implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "stowage-registry-"));

  file(name: string): string {
    return join(this.path, name);
  }

  write(name: string, text: string | Uint8Array): string {
    writeFileSync(this.file(name), text);
    return this.file(name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface DockerRegistryOptions {
  readonly tls?: {
    readonly certificate: string;
    readonly key: string;
    /** Authorities of the clients, who must then prove who they are. */
    readonly clientcas?: readonly string[];
  };
  readonly htpasswd?: string;
  readonly token?: { readonly realm: string; readonly service: string; readonly bundle: string };
}

/** Debian's docker-registry on a free loopback port. */
export class DockerRegistry implements AsyncDisposable {
  readonly port: number;
  readonly host: string;
  readonly #process: ChildProcess;
  readonly #directory: TempDir;

  constructor(port: number, process: ChildProcess, directory: TempDir) {
    this.port = port;
    this.host = `localhost:${port}`;
    this.#process = process;
    this.#directory = directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
    this.#directory[Symbol.dispose]();
  }
}

export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const directory = new TempDir();
  const port = await freePort();
  const config = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: directory.file("data") }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      secret: "of-the-test",
      ...(options.tls && { tls: options.tls }),
    },
    ...(options.htpasswd !== undefined && {
      auth: { htpasswd: { realm: "test", path: options.htpasswd } },
    }),
    ...(options.token && {
      auth: {
        token: {
          realm: options.token.realm,
          service: options.token.service,
          issuer: "stowage-test",
          rootcertbundle: options.token.bundle,
        },
      },
    }),
  };
  // JSON is YAML.
  const path = directory.write("config.yml", JSON.stringify(config));
  const child = spawn("docker-registry", ["serve", path], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const registry = new DockerRegistry(port, child, directory);
  const scheme = options.tls === undefined ? "http" : "https";
  for (let tries = 0; tries < 400; tries += 1) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${log}`);
    if (await answers(port)) return registry;
  }
  throw new Error(`docker-registry does not answer at ${scheme}://127.0.0.1:${port}: ${log}`);
}

export interface Certificate {
  readonly ca: string;
  readonly caPath: string;
  readonly certificate: string;
  readonly key: string;
}

/** An authority of its own, and a certificate for localhost, registry.test and 127.0.0.1, signed by it. */
export function makeCertificate(directory: TempDir): Certificate {
  const at = (name: string): string => directory.file(name);
  const openssl = (...args: string[]): Buffer =>
    execFileSync("openssl", args, { stdio: ["ignore", "pipe", "ignore"] });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...ec,
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.crt"),
    "-days",
    "2",
    "-subj",
    "/CN=test CA",
  );
  openssl(
    "req",
    ...ec,
    "-keyout",
    at("server.key"),
    "-out",
    at("server.csr"),
    "-subj",
    "/CN=localhost",
  );
  directory.write("san", "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1\n");
  openssl(
    "x509",
    "-req",
    "-in",
    at("server.csr"),
    "-CA",
    at("ca.crt"),
    "-CAkey",
    at("ca.key"),
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    at("san"),
    "-out",
    at("server.crt"),
  );
  return {
    ca: execFileSync("cat", [at("ca.crt")]).toString(),
    caPath: at("ca.crt"),
    certificate: at("server.crt"),
    key: at("server.key"),
  };
}

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** DER in base64, for the header of a JWT. */
  readonly chain: string;
  readonly bundle: string;
}

/** A key that a docker-registry trusts for tokens. */
export function makeSigningKey(directory: TempDir): SigningKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keyPath = directory.write("token.key", privateKey.export({ type: "pkcs8", format: "pem" }));
  const bundle = directory.file("token.crt");
  execFileSync(
    "openssl",
    ["req", "-x509", "-key", keyPath, "-out", bundle, "-days", "2", "-subj", "/CN=tokens"],
    { stdio: "ignore" },
  );
  const der = execFileSync("openssl", ["x509", "-in", bundle, "-outform", "DER"]);
  return { privateKey, chain: der.toString("base64"), bundle };
}

async function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const { connect } = await import("node:net");
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true));
  socket.once("error", () => setTimeout(resolve, 25, false));
  const answered = await promise;
  socket.destroy();
  return answered;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
