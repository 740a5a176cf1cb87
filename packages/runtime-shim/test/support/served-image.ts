import { execFileSync } from "node:child_process";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import {
  createMemoryContentStore,
  type Descriptor,
  digestOf,
  hostPlatform,
  type ImageExecution,
  MEDIA_TYPE,
} from "@stowage/content";
import { createMemoryTagStore, createRegistryServer } from "@stowage/registry-server";

import { createScratch, shellFiles } from "./host-root.ts";

/** An image of the host's shell, served by the project's own registry. */
export interface ServedImage extends AsyncDisposable {
  /** `127.0.0.1:PORT/shell:1` */
  readonly name: string;
  readonly host: string;
  /** The digest of its manifest. */
  readonly digest: string;
}

/** What the image has beside a shell. */
export interface ShellImageOptions {
  readonly config?: ImageExecution;
  /** Whom the registry serves; everybody, unless told. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** Link targets by path. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Builds and serves an image: two layers, gzip, with a shell and an `/etc/passwd`. */
export async function serveShellImage(options: ShellImageOptions = {}): Promise<ServedImage> {
  const content = createMemoryContentStore();
  const tags = createMemoryTagStore();
  const manifest = await buildShellImage(options, async (mediaType, bytes) => {
    const descriptor: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    await content.write(descriptor, once(bytes));
    return descriptor;
  });
  await tags.put("shell", manifest, "1");
  const server = createRegistryServer({ content, tags, auth: options.auth });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  const host = `127.0.0.1:${port}`;
  return {
    host,
    name: `${host}/shell:1`,
    digest: manifest.digest,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

type Write = (mediaType: string, bytes: Uint8Array) => Promise<Descriptor>;

async function buildShellImage(options: ShellImageOptions, write: Write): Promise<Descriptor> {
  await using scratch = await createScratch();
  const base = join(scratch.path, "base");
  for (const [path, source] of shellFiles()) {
    await mkdir(dirname(join(base, path)), { recursive: true });
    await copyFile(source, join(base, path));
  }
  const top = join(scratch.path, "top");
  await mkdir(join(top, "etc"), { recursive: true });
  await writeFile(join(top, "etc/passwd"), "root:x:0:0::/:\nwww:x:33:34::/:\n");
  await writeFile(join(top, "etc/group"), "www:x:34:\nadm:x:4:www\n");
  for (const [path, target] of Object.entries(options.links ?? {})) {
    await symlink(target, join(top, path));
  }
  const tars = [base, top].map((dir) =>
    execFileSync("tar", ["-C", dir, "--numeric-owner", "-cf", "-", "."], {
      maxBuffer: 64 * 1024 * 1024,
    }),
  );
  const layers: Descriptor[] = [];
  for (const tar of tars) {
    const gzip = execFileSync("gzip", ["-nc1"], { input: tar, maxBuffer: 64 * 1024 * 1024 });
    layers.push(await write(MEDIA_TYPE.layerGzip, gzip));
  }
  const { os, architecture } = hostPlatform();
  const config = await write(
    MEDIA_TYPE.imageConfig,
    json({
      os,
      architecture,
      config: { Cmd: ["/bin/sh", "-c", "echo hello from the image"], ...options.config },
      rootfs: { type: "layers", diff_ids: tars.map((tar) => digestOf(tar)) },
    }),
  );
  const mediaType = MEDIA_TYPE.imageManifest;
  return write(mediaType, json({ schemaVersion: 2, mediaType, config, layers }));
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
