import { randomBytes, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Socket } from "node:net";

import {
  type Descriptor,
  digestOf,
  type Digest,
  errorKind,
  type ErrorKind,
} from "@stowage/content";
import { parseRepository, parseTag, type Tag } from "@stowage/reference";
import {
  copyImage,
  createRegistryClient,
  layoutFolderDestination,
  type RegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
  registrySource,
  type RepositoryClient,
} from "@stowage/registry";
import {
  type Certificates,
  type FaultyRegistry,
  type RawRequest,
  type RawServer,
  type RecordedRequest,
  type RequestMatch,
  type ScriptedAnswer,
  startFaultyRegistry,
  startRawServer,
  type Step,
  type WatchedWorld,
  watchWorld,
} from "@stowage/testkit";
import { expect } from "vitest";

import { goodAnswer } from "./good-answer.ts";
import { makeImage, type TestImage } from "./images.ts";

/** What must be seen nowhere but at the registry and its token server. */
export const SECRETS = {
  password: `canary-password-${randomUUID()}`,
  token: `canary-token-${randomUUID()}`,
  /** In the query of a redirect, so that the server that it leads to sees it, too. */
  signature: `canary-signature-${randomUUID()}`,
} as const;

export interface StageOptions extends Omit<RegistryClientOptions, "transport"> {
  /** Bytes of the image's only layer. @defaultValue 100_000 */
  readonly size?: number;
  /** All servers speak TLS then. */
  readonly certificates?: { readonly files: Certificates; readonly ca: string };
}

const LATEST = parseTag("latest");
const CHANNELS = ["request", "retry", "blob"].map((name) => `stowage:registry:${name}`);
// What a server may see that is not the registry itself.
const HARMLESS = [
  "accept",
  "accept-encoding",
  "connection",
  "content-length",
  "content-range",
  "content-type",
  "host",
  "if-range",
  "range",
  "user-agent",
];

/**
 * A registry that wants tokens, its token server, a host of blobs that it may send to, and an
 * attacker, each at an address of its own; and a client that has a password for the registry. When
 * it ends, the faults are taken away, and the same client must get that image and another one.
 */
export class Stage implements AsyncDisposable {
  readonly registry: FaultyRegistry;
  readonly tokens: FaultyRegistry;
  readonly blobs: FaultyRegistry;
  readonly attacker: FaultyRegistry;
  readonly world: WatchedWorld;
  readonly client: RegistryClient;
  readonly repository: RepositoryClient;
  readonly image: TestImage;
  readonly events: RegistryEvent[] = [];
  readonly #raw: { readonly server: RawServer; readonly repository: RepositoryClient }[] = [];
  #recovering = false;
  #hasPulled = false;

  constructor(
    [registry, tokens, blobs, attacker]: readonly FaultyRegistry[],
    world: WatchedWorld,
    image: TestImage,
    options: StageOptions,
  ) {
    if (!registry || !tokens || !blobs || !attacker) throw new Error("four servers are needed");
    this.registry = registry;
    this.tokens = tokens;
    this.blobs = blobs;
    this.attacker = attacker;
    this.world = world;
    this.image = image;
    const { size: _size, certificates, onEvent, ...rest } = options;
    this.client = createRegistryClient({
      retryDelay: 1,
      plainHttp: certificates === undefined,
      credentials: async (host) =>
        host === registry.host
          ? { username: "user", password: SECRETS.password }
          : { bearerToken: SECRETS.token },
      ...(certificates && { tls: { ca: [certificates.ca] } }),
      ...rest,
      onEvent: (event) => {
        this.events.push(event);
        world.note(event);
        onEvent?.(event);
      },
    });
    this.repository = this.client.repository(parseRepository(`${registry.host}/team/app`));
  }

  get manifest(): Digest {
    return digestOf(this.image.manifest);
  }

  get layer(): { readonly descriptor: Descriptor; readonly bytes: Uint8Array } {
    const layer = this.image.blobs.at(-1);
    if (layer === undefined) throw new Error("the image has no layer");
    return layer;
  }

  /** What the registry does to requests that have got past its door. */
  fault(path: RegExp, steps: readonly Step[], match: Omit<RequestMatch, "path"> = {}): void {
    const headers = { authorization: /./u };
    this.registry.rules.push({ match: { headers, path, ...match }, do: repeating(steps) });
  }

  /** A repository at a server that writes bytes, until the faults are taken away. */
  async raw(
    script: (socket: Socket, request: RawRequest) => void,
  ): Promise<{ readonly server: RawServer; readonly repository: RepositoryClient }> {
    const server = await startRawServer({
      onRequest: (socket, request) => {
        if (!this.#recovering) return script(socket, request);
        const { body = "" } = goodAnswer(this.image, { ...request, headers: {} });
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
        socket.write(body);
      },
    });
    const repository = this.client.repository(parseRepository(`${server.host}/team/app`));
    this.#raw.push({ server, repository });
    return { server, repository };
  }

  async fetchManifest(target: Tag | Digest = LATEST): Promise<void> {
    const { bytes } = await this.repository.fetchManifest(target);
    expect(Buffer.from(bytes)).toEqual(Buffer.from(this.image.manifest));
  }

  async readLayer(repository: RepositoryClient = this.repository): Promise<void> {
    const { descriptor, bytes } = this.layer;
    const read = await Array.fromAsync(repository.openContent(descriptor));
    expect(Buffer.concat(read).equals(bytes)).toBe(true);
  }

  /** Pulls the image into a layout beside the canary. */
  async pull(): Promise<void> {
    this.#hasPulled = true;
    const destination = layoutFolderDestination(join(this.world.place, "layout"), "it");
    await copyImage(registrySource(this.repository, LATEST), destination);
    await this.#expectWholeLayout();
  }

  /** Expects a failure of this kind that tells where it was, and nothing that it must not. */
  async refuses(kind: ErrorKind, task: () => Promise<unknown>): Promise<Record<string, unknown>> {
    const failure: unknown = await task().then(
      () => expect.fail("it succeeded"),
      (error: unknown) => error,
    );
    this.world.note(failure);
    expect({ kind: errorKind(failure), failure }).toMatchObject({ kind });
    const { message } = failure as Error;
    expect(message).toMatch(/127\.0\.0\.\d|localhost|sha\d+:[0-9a-f]/u);
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/u);
    expect(message.length).toBeLessThan(4096);
    await this.#expectWholeLayout();
    return failure as Record<string, unknown>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { registry, tokens, blobs, attacker } = this;
    try {
      this.#expectNothingTold();
      this.#recovering = true;
      for (const server of [registry, tokens, blobs, attacker]) server.rules.length = 0;
      await this.fetchManifest();
      await (this.#hasPulled ? this.pull() : this.readLayer());
      await this.client
        .repository(parseRepository(`${registry.host}/other/app`))
        .fetchManifest(LATEST);
      for (const { repository } of this.#raw) await this.readLayer(repository);
      this.#expectNothingTold();
    } finally {
      await this.client[Symbol.asyncDispose]();
      const raw = this.#raw.map(({ server }) => server);
      for (const server of [registry, tokens, blobs, attacker, ...raw]) {
        await server[Symbol.asyncDispose]();
      }
      await this.world[Symbol.asyncDispose]();
    }
  }

  #expectNothingTold(): void {
    for (const { headers, path, body, clientName } of [
      ...this.blobs.requests,
      ...this.attacker.requests,
    ]) {
      expect(HARMLESS).toEqual(expect.arrayContaining(Object.keys(headers)));
      expect(clientName).toBeUndefined();
      const seen = `${path} ${JSON.stringify(headers)} ${body.toString("latin1")}`;
      for (const secret of [SECRETS.password, SECRETS.token]) expect(seen).not.toContain(secret);
    }
  }

  async #expectWholeLayout(): Promise<void> {
    const folder = join(this.world.place, "layout", "blobs");
    const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of found.filter((one) => one.isFile())) {
      const digest = digestOf(await readFile(join(entry.parentPath, entry.name)));
      expect(digest).toBe(`sha256:${entry.name}`);
    }
  }
}

/** Builds a {@link Stage}. */
export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const world = await watchWorld({ secrets: Object.values(SECRETS), channels: CHANNELS });
  const image = makeImage([options.size ?? 100_000]);
  const tls = options.certificates?.files.server;
  const start = (last: number, script: (request: RecordedRequest) => ScriptedAnswer) =>
    startFaultyRegistry({ address: `127.0.0.${last}`, script, ...(tls && { tls }) });
  const tokens = await start(2, ({ headers }) =>
    headers.authorization === basic("user", SECRETS.password)
      ? { body: JSON.stringify({ token: SECRETS.token, expires_in: 3600 }) }
      : { status: 401 },
  );
  const registry = await start(1, (request) =>
    request.headers.authorization === `Bearer ${SECRETS.token}`
      ? goodAnswer(image, request)
      : challengeTo(tokens),
  );
  const blobs = await start(3, (request) => goodAnswer(image, request));
  const attacker = await start(4, () => ({
    status: 401,
    headers: { "www-authenticate": 'Basic realm="give me"', "set-cookie": "a=b" },
  }));
  return new Stage([registry, tokens, blobs, attacker], world, image, options);
}

/** The answer that sends for tokens to a server. */
export function challengeTo(tokens: { readonly url: string }, rest = ""): ScriptedAnswer {
  const challenge = `Bearer realm="${tokens.url}/token",service="it"${rest}`;
  return { status: 401, headers: { "www-authenticate": challenge } };
}

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** An answer without a body gets one that repeats all secrets, for it is the attacker's to say. */
function repeating(steps: readonly Step[]): readonly Step[] {
  const isError = steps.some((step) => "status" in step && step.status >= 400);
  if (!isError || steps.some((step) => "body" in step)) return steps;
  const { password, token } = SECRETS;
  const said = [password, token, basic("user", password), encodeURIComponent(token)];
  const body = JSON.stringify({ errors: [{ code: "DENIED", message: said.join(" ") }] });
  return [{ body }, ...steps];
}

/** Bytes that are not those of any image. */
export function otherBytes(length: number): Buffer {
  return randomBytes(length);
}
