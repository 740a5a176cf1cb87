import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";

import { buildImage, type TarEntry, tempDir, writeOciLayout } from "@stowage/testkit";

/** Bytes that do not compress, the same for the same seed. */
export function noise(seed: string, size: number): Buffer {
  return createHash("shake256", { outputLength: size }).update(seed).digest();
}

/** An image of one layer, which skopeo compresses as zstd:chunked, in a registry. */
export async function pushChunked(name: string, entries: readonly TarEntry[]): Promise<void> {
  await using folder = await tempDir("stowage-chunked-");
  const path = join(folder.path, "layout");
  // A layer that is compressed already, that skopeo would never come to an end with.
  await writeOciLayout(path, { "1": buildImage({ layers: [{ entries, compression: "none" }] }) });
  await promisify(execFile)("skopeo", [
    "--insecure-policy",
    "copy",
    "--dest-compress-format=zstd:chunked",
    "--dest-tls-verify=false",
    `oci:${path}:1`,
    `docker://${name}`,
  ]);
}
