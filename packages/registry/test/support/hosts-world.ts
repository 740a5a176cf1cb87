import { mkdirSync } from "node:fs";

import { parseRepository, parseTag } from "@stowage/reference";
import {
  createRegistryClient,
  loadContainerdHosts,
  type RegistryClient,
  type RegistryClientOptions,
  type RegistryEvent,
  type RepositoryClient,
} from "@stowage/registry";
import {
  type FaultyRegistry,
  type FaultyRegistryOptions,
  type FaultyTls,
  startFaultyRegistry,
} from "@stowage/testkit";

import { TempDir } from "./docker-registry.ts";
import { goodAnswer } from "./good-answer.ts";
import { makeImage, type TestImage } from "./images.ts";

/** How a server of the world answers; good unless told. */
export interface HostsServerOptions extends Pick<FaultyRegistryOptions, "address" | "script"> {
  readonly tls?: FaultyTls;
}

/** Servers that know one image, and a `certs.d` that says how they are asked. */
export class HostsWorld implements AsyncDisposable {
  readonly image: TestImage = makeImage([1000]);
  readonly tag = parseTag("latest");
  readonly directory = new TempDir();
  readonly events: RegistryEvent[] = [];
  readonly #servers: FaultyRegistry[] = [];
  readonly #clients: RegistryClient[] = [];

  async start({ script, ...options }: HostsServerOptions = {}): Promise<FaultyRegistry> {
    const answer = script ?? ((request) => goodAnswer(this.image, request));
    const server = await startFaultyRegistry({ ...options, script: answer });
    this.#servers.push(server);
    return server;
  }

  /** Writes a file of the `certs.d`. */
  write(path: string, text: string | Uint8Array): string {
    mkdirSync(this.directory.file(path.replace(/\/[^/]*$/u, "")), { recursive: true });
    return this.directory.write(path, text);
  }

  /** `team/app` at a registry, as the `certs.d` says that it is reached. */
  repository(host: string, options: RegistryClientOptions = {}): RepositoryClient {
    return this.client(options).repository(parseRepository(`${host}/team/app`));
  }

  client(options: RegistryClientOptions = {}): RegistryClient {
    const onEvent = (event: RegistryEvent): void => void this.events.push(event);
    const hosts = loadContainerdHosts({ directory: this.directory.path, onEvent });
    const client = createRegistryClient({ retryDelay: 1, hosts, onEvent, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Fetches the manifest and all blobs. */
  async pull(repository: RepositoryClient): Promise<void> {
    await repository.fetchManifest(this.tag);
    for (const { descriptor } of this.image.blobs) {
      await Array.fromAsync(repository.openContent(descriptor));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [...this.#clients, ...this.#servers]) await one[Symbol.asyncDispose]();
    this.directory[Symbol.dispose]();
  }
}

/** Says that it has nothing. */
export const NOTHING: HostsServerOptions = { script: () => ({ status: 404 }) };
