import { execFile } from "node:child_process";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  type Digest,
  digestOf,
  type ImageManifest,
  parseManifest,
  type Platform,
} from "@stowage/content";
import { copyBetween, type CopyResult, parseCopyLocation } from "@stowage/runtime-shim";
import { type BuiltImage, requirePeer } from "@stowage/testkit";

import type { RuntimeWorld } from "./runtime-world.ts";

const run = promisify(execFile);

/** An empty store of podman's, in a world that takes its mounts away with it. */
export interface PodmanStore extends AsyncDisposable {
  readonly root: string;
  /** `containers-storage:[…]` */
  readonly place: string;
  /** Where copies spool; nothing is there between them. */
  readonly spool: string;
  /** As {@link copyBetween}, the locations as text; programs are looked for in `path`. */
  copy(from: string, to: string, changes?: CopyChanges): Promise<CopyResult>;
  run(...args: readonly string[]): Promise<string>;
  /** By name: ID and digest. */
  images(): Promise<Readonly<Record<string, readonly [id: string, digest: string]>>>;
  spooled(): Promise<readonly string[]>;
}

/** What a copy is told beside its places. */
export interface CopyChanges {
  readonly path?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly platforms?: readonly Platform[];
  readonly signal?: AbortSignal;
}

/** A store of podman's in the folder of a world. */
export async function openPodman(world: RuntimeWorld, driver: string): Promise<PodmanStore> {
  const [root, runRoot] = [join(world.path, "podman"), join(world.path, "podman-run")];
  const spool = join(world.path, "spool");
  await mkdir(spool, { recursive: true });
  const own = ["--root", root, "--runroot", runRoot, "--storage-driver", driver];
  const podman = async (...args: readonly string[]): Promise<string> =>
    (await run("podman", [...own, ...args])).stdout;
  return {
    root,
    place: `containers-storage:[${driver}@${root}+${runRoot}]`,
    spool,
    copy(from, to, { path = process.env["PATH"] ?? "", env = {}, ...more } = {}) {
      const locations = [parseCopyLocation(from), parseCopyLocation(to)] as const;
      const surroundings = { ...process.env, ...env, PATH: path, TMPDIR: spool };
      return copyBetween(...locations, { ...world.options, ...more, env: surroundings });
    },
    run: podman,
    async images() {
      const listed: readonly Listed[] = JSON.parse(await podman("images", "--format", "json"));
      return Object.fromEntries(
        listed.flatMap(({ Id, Names = [], Digest: digest }) =>
          Names.map((name) => [name, [Id, digest]] as const),
        ),
      );
    },
    spooled: () => readdir(spool),
    async [Symbol.asyncDispose]() {
      // The driver overlay binds its directory to itself.
      for (const point of await world.mounts()) await run("umount", ["-l", point]);
    },
  };
}

interface Listed {
  readonly Id: string;
  readonly Names?: readonly string[];
  readonly Digest: string;
}

/** A folder for `PATH` in which there is this program, and nothing else. */
export async function pathOf(world: RuntimeWorld, program: string): Promise<string> {
  const folder = join(world.path, `only-${program}`);
  await mkdir(folder, { recursive: true });
  await symlink(requirePeer(program), join(folder, program));
  return folder;
}

export function manifestIn({ manifest }: Pick<BuiltImage, "manifest">): ImageManifest {
  const { document } = parseManifest(manifest);
  if (document.kind !== "manifest") throw new Error("an index");
  return document.manifest;
}

/** 64 hex digits. */
export function idOf(image: BuiltImage): string {
  return manifestIn(image).config.digest.slice("sha256:".length);
}

/** The same image with more said of its first layer, by another manifest. */
export function withFirstLayer(image: BuiltImage, more: object, without?: Digest): BuiltImage {
  const { mediaType, ...manifest } = JSON.parse(Buffer.from(image.manifest).toString());
  const [first, ...others] = manifest.layers;
  const layers = [{ ...first, ...more }, ...others];
  const bytes = Buffer.from(JSON.stringify({ ...manifest, mediaType, layers }));
  const digest = digestOf(bytes);
  const kept = [...image.blobs].filter(([one]) => one !== without);
  return {
    descriptor: { mediaType, digest, size: bytes.length },
    manifest: bytes,
    blobs: new Map([...kept, [digest, { mediaType, bytes }]]),
  };
}
