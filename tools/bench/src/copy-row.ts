import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import {
  buildImage,
  hasPeer,
  requirePeer,
  startDockerRegistry,
  tempDir,
  writeOciLayout,
} from "@stowage/testkit";

import { compare } from "./compare.ts";
import { commandOf, measureProcess } from "./measure-process.ts";
import type { RowOptions, RowResult } from "./rows.ts";
import { BUILT } from "./stage.ts";
import { failed, summarize } from "./summarize.ts";

const TARGET = 1.2;

/** Who else copies an image into an OCI layout: its arguments, for a place in a registry and a folder. */
const COPIERS: Readonly<Record<string, (reference: string, layout: string) => readonly string[]>> =
  {
    skopeo: (reference, layout) => [
      "--insecure-policy",
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      `docker://${reference}`,
      `oci:${layout}:it`,
    ],
    crane: (reference, layout) => ["pull", "--insecure", "--format=oci", reference, layout],
    oras: (reference, layout) => [
      "copy",
      "--from-plain-http",
      "--to-oci-layout",
      reference,
      `${layout}:it`,
    ],
  };

/** `copy docker://… oci:…` against `skopeo copy`, and against the others that are installed. */
export async function benchCopy(options: RowOptions): Promise<readonly RowResult[]> {
  const { size, layers, pairs, main = BUILT, peers } = options;
  const skopeo = requirePeer("skopeo");
  await using folder = await tempDir("stowage-bench-");
  await using registry = await startDockerRegistry();
  const image = buildImage({
    layers: splitSize(size * 1e6, layers).map((length) => ({
      tar: randomBytes(length),
      // What is not compressed, skopeo would compress as it pushes it, and so change its digest.
      compression: "gzip" as const,
    })),
  });
  const { digest } = image.descriptor;
  const layout = join(folder.path, "image");
  await writeOciLayout(layout, { it: image });
  const reference = `${registry.host}/bench/image:it`;
  const push = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
  const args = [...push, `oci:${layout}:it`, `docker://${reference}`];
  await measureProcess({ program: skopeo, args });
  await rm(layout, { recursive: true });
  const place = (run: number): string => join(folder.path, `copy-${run}`);
  const results: RowResult[] = [];
  for (const peer of copiersAmong(peers)) {
    const about = { row: "copy", peer, target: TARGET };
    try {
      const program = requirePeer(peer);
      const compared = await compare({
        pairs,
        ours: async (run) => {
          const places = [`docker://${reference}`, `oci:${place(run)}:it`];
          return commandOf(main, "--quiet", "copy", "--tls-verify=false", ...places);
        },
        theirs: async (run) => ({ program, args: COPIERS[peer]?.(reference, place(run)) ?? [] }),
        async check(run) {
          const index = await readFile(join(place(run), "index.json"), "utf8");
          if (!index.includes(digest)) throw new Error(`run ${run} did not copy ${digest}`);
          await rm(place(run), { recursive: true });
        },
      });
      results.push(summarize(about, compared));
    } catch (error) {
      results.push(failed(about, error));
    }
  }
  return results;
}

/** Those that were asked for by name, or all that are installed. */
function copiersAmong(peers: readonly string[] | undefined): readonly string[] {
  const asked = Object.keys(COPIERS).filter((name) => peers?.includes(name));
  return asked.length > 0 ? asked : Object.keys(COPIERS).filter(hasPeer);
}

/** Layers as images have them: each about half as large as the one before. */
export function splitSize(bytes: number, count: number): readonly number[] {
  const weights = Array.from({ length: count }, (_, at) => 0.6 ** at);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => Math.max(1, Math.round((bytes * weight) / total)));
}
