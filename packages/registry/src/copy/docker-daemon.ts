/**
 * Images in a Docker daemon, by way of the archives that it saves and loads.
 *
 * An archive is read more than once, and is whole before anything of it is believed or handed over,
 * so it lies in a file without a name meanwhile.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";

import {
  type ByteSource,
  ContentError,
  type Digest,
  type FetchedManifest,
  isDigest,
} from "@stowage/content";
import { formatReference, type Reference, withDefaultTag } from "@stowage/reference";

import {
  createEngineClient,
  type EngineClient,
  type EngineOptions,
} from "../engine/engine-client.ts";
import { engineFailure, failureIn } from "../engine/engine-failure.ts";
import { RegistryError } from "../registry-error.ts";
import type { TransportOptions } from "../transport.ts";
import { type ArchiveOutput, placeInArchive } from "./archive.ts";
import { archiveSource, readArchive } from "./archive-source.ts";
import type { CopyDestination, CopySource } from "./copy-place.ts";
import { guarded } from "./file-failure.ts";
import { invalidLayout } from "./oci-layout.ts";
import {
  fillSpool,
  MAX_SPOOL_BYTES,
  openSpool,
  requireRoom,
  spoolDirectory,
  type SpoolOptions,
} from "./spool-file.ts";
import { BLOCK_BYTES, isTarHeader, readAt } from "./tar-index.ts";
import { TarWriter } from "./tar-writer.ts";

/** How a Docker daemon is reached, and what it may give. */
export interface DockerDaemonOptions extends EngineOptions, SpoolOptions {}

const READ_BYTES = 256 * 1024;
// An error message that came instead of the rest of an archive.
const TAIL_BYTES = 64 * 1024;

/**
 * An image of a Docker daemon, by name or by ID. Its archive is fetched at once, into a temporary
 * file. The config, and so the ID, is the image's own; the digest of the manifest is what the
 * daemon says where its archive is an OCI layout, as it is since Docker 25, and else that of one
 * made for it.
 *
 * @throws {@link RegistryError} as `createEngineClient` says; `ERR_REGISTRY_INVALID_LAYOUT` for an
 *   archive that is none; `ERR_REGISTRY_TOO_LARGE`, `ERR_REGISTRY_NO_SPACE`.
 *   {@link @stowage/content#ContentError} `ERR_CONTENT_DIGEST_MISMATCH` where another image comes
 *   than the one whose ID was given. The signal's reason.
 */
export async function openDockerDaemon(
  image: Digest | Reference,
  options: DockerDaemonOptions & TransportOptions = {},
): Promise<CopySource> {
  const { env = process.env, maxBytes = MAX_SPOOL_BYTES, signal } = options;
  const name = nameOf(image);
  const directory = spoolDirectory(options, env);
  await using engine = await createEngineClient(options);
  const where = `image ${name} of ${engine.shown}`;
  // Some say only here that there is none, and fail otherwise.
  await engine.findImage(name, { signal });
  const file = await openSpool(directory);
  try {
    const archive = requireTar(engine.saveImage(name, { signal }), where, engine, name);
    const size = await fillSpool(file, archive, { directory, maxBytes, from: where });
    const opened = await readArchive(file, where).catch(async (error: unknown) => {
      throw (await failureAtEnd(file, size, engine, name)) ?? error;
    });
    const shown = `docker-daemon:${name}`;
    const source = await archiveSource("docker-archive", opened, shown, undefined);
    if (typeof image === "string") await requireIs(source, image, where, signal);
    return { ...source, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * A place for one image in a Docker daemon. The daemon is given all of it when it is committed, and
 * is asked then whether it has it.
 *
 * @param name - its tag is `latest` unless it has one; a digest is no name to store under.
 * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_ARGUMENT`. What it throws while it is written
 *   to: as {@link openDockerDaemon} does; `ERR_CONTENT_DIGEST_MISMATCH` where the daemon has another
 *   image under the name afterwards.
 */
export function dockerDaemonDestination(
  name: Reference,
  options: DockerDaemonOptions = {},
): CopyDestination {
  if (name.digest !== undefined) {
    const message = `docker-daemon:${formatReference(name)}: a daemon stores under tags alone`;
    throw new RegistryError("ERR_REGISTRY_INVALID_ARGUMENT", message, { hint: "Write NAME:TAG." });
  }
  const full = nameOf(name);
  const shown = `docker-daemon:${full}`;
  const output = new DaemonOutput(full, options);
  return placeInArchive("docker-archive", output, { shown, where: shown, name: full });
}

class DaemonOutput implements ArchiveOutput {
  readonly #name: string;
  readonly #options: DockerDaemonOptions;
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #writer: TarWriter;
  #file: Promise<FileHandle> | undefined;
  #bytes = 0;

  constructor(name: string, options: DockerDaemonOptions) {
    const { env = process.env, maxBytes = MAX_SPOOL_BYTES } = options;
    this.#name = name;
    this.#options = options;
    this.#directory = spoolDirectory(options, env);
    this.#maxBytes = maxBytes;
    this.#writer = new TarWriter(this.#directory, () => this.#open());
  }

  async add(...[name, size, source, onProgress]: Parameters<ArchiveOutput["add"]>): Promise<void> {
    if ((this.#bytes += size) > this.#maxBytes) {
      const message = `docker-daemon:${this.#name}: an image of more than ${this.#maxBytes} bytes`;
      throw new RegistryError("ERR_REGISTRY_TOO_LARGE", message);
    }
    await requireRoom(this.#directory, size);
    await this.#writer.add(name, size, source, onProgress);
  }

  async commit(
    image: FetchedManifest | undefined,
    { signal }: TransportOptions = {},
  ): Promise<void> {
    const size = await this.#writer.end();
    const file = await this.#open();
    await using engine = await createEngineClient(this.#options);
    const bytes = (): AsyncGenerator<Uint8Array> => readAll(file, this.#directory, size);
    await engine.loadImages(bytes, size, { signal });
    const id = await engine.findImage(this.#name, { signal });
    if (image === undefined || idsOf(image).includes(id)) return;
    const where = `image ${this.#name} of ${engine.shown}`;
    throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", `${where}: is ${id} now`, {
      hint: "The daemon has changed what it was given, or somebody else has taken the name.",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.idle();
    await (await this.#file?.catch(() => undefined))?.close();
  }

  #open(): Promise<FileHandle> {
    return (this.#file ??= openSpool(this.#directory));
  }
}

function nameOf(image: Digest | Reference): string {
  return typeof image === "string" ? image : formatReference(withDefaultTag(image));
}

/** What Docker may call an image: by its config or, where it keeps images in containerd, as here. */
function idsOf({ descriptor, document }: FetchedManifest): readonly Digest[] {
  if (document.kind === "index") return [descriptor.digest];
  return [descriptor.digest, document.manifest.config.digest];
}

async function requireIs(
  source: Pick<CopySource, "fetchRoot">,
  id: Digest,
  where: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ids = idsOf(await source.fetchRoot({ signal }));
  if (ids.includes(id)) return;
  const message = `${where}: what came is ${ids.findLast(isDigest) ?? "another"}`;
  throw new ContentError("ERR_CONTENT_DIGEST_MISMATCH", message);
}

/** Passes on what begins as an archive does, so that what never ends is not taken for one. */
async function* requireTar(
  source: ByteSource,
  where: string,
  engine: EngineClient,
  name: string,
): ByteSource {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of source) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < BLOCK_BYTES) continue;
    if (!isTarHeader(head.subarray(0, BLOCK_BYTES))) break;
    yield head;
    head = undefined;
  }
  if (head === undefined) return;
  const words = failureIn(head.subarray(0, TAIL_BYTES));
  if (words === undefined) throw invalidLayout(where, "what came is no tar archive");
  throw engineFailure(words, engine, `image ${name}`);
}

/** Docker tells what fails half-way at the end of what it has sent. */
async function failureAtEnd(
  file: FileHandle,
  size: number,
  engine: EngineClient,
  name: string,
): Promise<RegistryError | undefined> {
  const start = Math.max(0, size - TAIL_BYTES);
  const tail = await readAt(file, start, size - start);
  const brace = tail.lastIndexOf('{"errorDetail"');
  const words = brace < 0 ? undefined : failureIn(tail.subarray(brace));
  return words === undefined ? undefined : engineFailure(words, engine, `image ${name}`);
}

async function* readAll(
  file: FileHandle,
  where: string,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let position = 0; position < size;) {
    const length = Math.min(READ_BYTES, size - position);
    const chunk = await guarded(where, () => readAt(file, position, length));
    if (chunk.length === 0) return;
    position += chunk.length;
    yield chunk;
  }
}
