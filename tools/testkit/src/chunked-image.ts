import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { buildImage } from "./image-builder.ts";
import { writeOciLayout } from "./oci-layout.ts";
import { requirePeer } from "./peers.ts";
import type { TarEntry } from "./tar-writer.ts";
import { tempDir } from "./temp-dir.ts";

/** Pushes an image of one layer, which skopeo compresses as zstd:chunked, over plain HTTP. */
export async function pushChunkedImage(name: string, entries: readonly TarEntry[]): Promise<void> {
  await using folder = await tempDir("stowage-chunked-");
  const path = join(folder.path, "layout");
  // Of a layer that is compressed already, skopeo 1.9 never comes to an end.
  await writeOciLayout(path, { "1": buildImage({ layers: [{ entries, compression: "none" }] }) });
  await promisify(execFile)(requirePeer("skopeo"), [
    "--insecure-policy",
    "copy",
    "--dest-compress-format=zstd:chunked",
    "--dest-tls-verify=false",
    `oci:${path}:1`,
    `docker://${name}`,
  ]);
}
