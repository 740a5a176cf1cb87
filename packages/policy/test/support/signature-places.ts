import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";

import {
  createMemoryContentStore,
  type Descriptor,
  digestOf,
  type FetchedManifest,
  MEDIA_TYPE,
  parseManifest,
} from "@stowage/content";
import {
  findSignatures,
  type FoundSignatures,
  type RegistriesD,
  type SignatureRegistry,
  type UrlFetcher,
} from "@stowage/policy";
import { parseReference, parseRepository } from "@stowage/reference";
import { listenLocally, tempDir } from "@stowage/testkit";

export const IMAGE = parseReference("q.io/a/b:1");
export const MANIFEST = digestOf(Buffer.from("manifest"));
export const HEX = MANIFEST.slice("sha256:".length);
/** What an OpenPGP signed message may begin with; nobody verifies anything here. */
export const SIGNATURE = Buffer.from([0x90, 1, 2]);

/** Bytes, and what a manifest says of them. */
export type Layer = readonly [Buffer, Descriptor];

export function layer(
  text: string,
  mediaType: string,
  annotations?: Readonly<Record<string, string>>,
): Layer {
  const bytes = Buffer.from(text);
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  return [bytes, annotations === undefined ? descriptor : { ...descriptor, annotations }];
}

interface FindOptions {
  readonly base?: string;
  readonly from?: string;
  /** The host of the name that the user gave. */
  readonly asked?: string;
  /** Whether the user gave the digest, too. */
  readonly isPinned?: boolean;
  readonly attachments?: boolean;
  /** Instead of one that says `base` and `attachments` of all images. */
  readonly registriesD?: RegistriesD;
  readonly files?: readonly Uint8Array[];
  readonly signal?: AbortSignal;
  readonly patience?: number;
}

/** A lookaside folder, and a registry in memory. */
export async function openPlaces() {
  const folder = await tempDir();
  const { path } = folder;
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, FetchedManifest>();
  const referrers: Descriptor[] = [];
  const opened: string[] = [];
  const store = createMemoryContentStore();
  const manifestOf = (layers: readonly Layer[], artifactType?: string): FetchedManifest => {
    for (const [bytes, { digest }] of layers) blobs.set(digest, bytes);
    const config = { mediaType: MEDIA_TYPE.empty, digest: digestOf(Buffer.from("{}")), size: 2 };
    const document = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      artifactType,
      config,
      layers: layers.map(([, descriptor]) => descriptor),
    };
    return parseManifest(Buffer.from(JSON.stringify(document)));
  };
  const world = {
    path,
    base: `file://${path}`,
    manifests,
    opened,
    failure: undefined as Error | undefined,
    async putFile(name: string, bytes: Uint8Array): Promise<void> {
      await mkdir(dirname(join(path, name)), { recursive: true });
      await writeFile(join(path, name), bytes);
    },
    async putFiles(...numbers: readonly number[]): Promise<void> {
      for (const n of numbers) await world.putFile(`a/b@sha256=${HEX}/signature-${n}`, SIGNATURE);
    },
    async attach(layers: readonly Layer[]): Promise<void> {
      manifests.set(`sha256-${HEX}.sig`, manifestOf(layers));
    },
    async refer(artifactType: string, layers: readonly Layer[]): Promise<string> {
      const fetched = manifestOf(layers, artifactType);
      manifests.set(fetched.descriptor.digest, fetched);
      referrers.push({ ...fetched.descriptor, artifactType });
      return fetched.descriptor.digest;
    },
    async find(options: FindOptions = {}): Promise<FoundSignatures> {
      const {
        base = world.base,
        from = "q.io/a/b",
        attachments,
        files,
        signal,
        patience,
      } = options;
      const image = parseReference(
        `${options.asked ?? "q.io"}/a/b:1${options.isPinned === true ? `@${MANIFEST}` : ""}`,
      );
      const registry: SignatureRegistry = {
        repository: parseRepository(from),
        async findManifest(target) {
          if (world.failure) throw world.failure;
          return manifests.get(target);
        },
        async *referrers() {
          yield* referrers;
        },
        signatureFiles: async () => files,
        async *openContent(descriptor) {
          opened.push(descriptor.digest);
          const bytes = blobs.get(descriptor.digest);
          if (bytes === undefined) yield* store.openContent(descriptor);
          else yield bytes;
        },
      };
      const section = { file: "/etc/r.yaml", lookaside: base };
      const registriesD = options.registriesD ?? {
        directory: "/etc/registries.d",
        docker: {},
        default:
          attachments === undefined ? section : { ...section, useSigstoreAttachments: attachments },
        defaultLookaside: "file:///nowhere",
      };
      const how = { registriesD, registry, fetchUrl, signal, patience };
      return await findSignatures(image, MANIFEST, how);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
  return world;
}

const fetchUrl: UrlFetcher = async (url, { signal }) => {
  const response = await fetch(url, { redirect: "manual", signal: signal ?? null });
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
};

/** Answers the question for the `n`th signature. */
export async function serveSignatures(
  answer: (n: number) => readonly [status: number, body: Uint8Array | string],
) {
  const paths: string[] = [];
  const server = await listenLocally(
    createServer(({ url = "" }, response) => {
      paths.push(url);
      const [status, body] = answer(Number(/signature-(\d+)/.exec(url)?.[1]));
      response.writeHead(status).end(body);
    }),
  );
  return { ...server, paths, base: `http://127.0.0.1:${server.port}/sigs` };
}
