import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { startDockerRegistry } from "@stowage/testkit";

import { canMakeFreshDisk, makeFreshDisk } from "./fresh-disk.ts";
import type { ImageFacts } from "./image-layout.ts";
import { commandOf, type ProgramWords } from "./measure-process.ts";
import type { RealFile } from "./real-files.ts";
import { writeRealImage } from "./real-image.ts";
import type { Place } from "./rows.ts";

/** The command line as it was built. */
export const BUILT: ProgramWords = [
  fileURLToPath(new URL("../../../packages/cli/bin/main.js", import.meta.url)),
];

const run = promisify(execFile);
const FOLDERS: Readonly<Record<Place, string>> = { disk: tmpdir(), tmpfs: "/dev/shm" };

/**
 * A directory of the bench's own, on what a place says; it goes when its scope ends. `disk` is a new
 * file system on the disk where temporary files are, where there can be one.
 */
export async function placeDir(place: Place): Promise<AsyncDisposable & { readonly path: string }> {
  if (place === "disk" && canMakeFreshDisk()) return await makeFreshDisk(tmpdir());
  const path = await mkdtemp(join(FOLDERS[place], "stowage-bench-"));
  return { path, [Symbol.asyncDispose]: () => clear(path) };
}

/** Removes what a tool has kept; whatever is mounted in it is not entered. */
export async function clear(path: string): Promise<void> {
  await run("rm", ["-rf", "--one-file-system", "--", path]);
}

/** An image in a registry of its own; both go when the scope ends. */
export interface Stage extends PushedImage, AsyncDisposable {}

/**
 * Has all that waits to be written on a file system written, so that no run pays for another's.
 *
 * @param dropsCache - Whether the kernel also forgets what it has read, of the whole machine.
 */
export async function settle(path: string, dropsCache: boolean): Promise<void> {
  await run("sync", ["-f", path]);
  if (dropsCache) await writeFile("/proc/sys/vm/drop_caches", "3");
}

/** Makes an image from files, starts a registry, and pushes the image. */
export async function setStage(
  layers: readonly (readonly RealFile[])[],
  compression: "gzip" | "zstd",
  main: ProgramWords,
): Promise<Stage> {
  const registry = await startDockerRegistry();
  try {
    const write = (layout: string) => writeRealImage(layout, layers, compression);
    const pushed = await pushImage(`${registry.host}/bench/image:it`, main, write);
    return { ...pushed, [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose]() };
  } catch (error) {
    await registry[Symbol.asyncDispose]();
    throw error;
  }
}

/** An image in a registry. */
export interface PushedImage {
  /** Where it is, without a transport. */
  readonly reference: string;
  readonly image: ImageFacts;
}

/** @param write - Writes the image into a new OCI layout, under the name `it`. */
export async function pushImage(
  reference: string,
  main: ProgramWords,
  write: (layout: string) => Promise<ImageFacts>,
): Promise<PushedImage> {
  await using folder = await placeDir("disk");
  const layout = join(folder.path, "image");
  const image = await write(layout);
  const copy = ["--quiet", "copy", "--tls-verify=false", `oci:${layout}:it`];
  const { program, args } = commandOf(main, ...copy, `docker://${reference}`);
  await run(program, args);
  return { reference, image };
}

/** Writes a policy that accepts everything. */
export async function writeOpenPolicy(folder: string): Promise<string> {
  const path = join(folder, "policy.json");
  await writeFile(path, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  return path;
}
