import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import type { StowagePlace } from "./stowage.ts";

/** What is at the place of an export to podman. */
export interface ExportView {
  readonly images: number;
  /** What of it a reader would not find, or could not read. */
  readonly problems: readonly string[];
}

interface PodmanImage {
  readonly id: string;
  readonly layer: string;
  readonly "big-data-names"?: readonly string[];
}

interface PodmanLayer {
  readonly id: string;
  readonly parent?: string;
}

/** Follows all that a reader of containers/storage follows. */
export function lookAtExport({ root, exportDir }: StowagePlace): ExportView {
  const images = readList(join(exportDir, "overlay-images/images.json"));
  const layers = readList(join(exportDir, "overlay-layers/layers.json"));
  if (typeof images === "string") return { images: 0, problems: [images] };
  if (typeof layers === "string") return { images: images.length, problems: [layers] };
  const byId = new Map((layers as readonly PodmanLayer[]).map((layer) => [layer.id, layer]));
  const problems: string[] = [];
  for (const image of images as readonly PodmanImage[]) {
    for (let id: string | undefined = image.layer; id !== undefined && id !== "";) {
      const layer = byId.get(id);
      problems.push(...(layer ? problemsOfLayer(root, exportDir, id) : [`layer ${id} is unknown`]));
      id = layer?.parent;
    }
    const directory = join(exportDir, "overlay-images", image.id);
    const files = existsSync(directory) ? readdirSync(directory) : [];
    if (files.length < (image["big-data-names"] ?? []).length) {
      problems.push(`image ${image.id} has only ${files.join(", ")}`);
    }
    const empty = files.filter((name) => lstatSync(join(directory, name)).size === 0);
    if (empty.length > 0) problems.push(`image ${image.id}: ${empty.join(", ")} has nothing in it`);
  }
  return { images: images.length, problems };
}

function problemsOfLayer(root: string, exportDir: string, id: string): readonly string[] {
  const problems: string[] = [];
  try {
    const link = readFileSync(join(root, "layers", id, "link"), "utf8");
    if (!existsSync(join(exportDir, "overlay/l", link))) {
      problems.push(`layer ${id}: its link ${link} leads nowhere`);
    }
    if (!existsSync(join(exportDir, "overlay", id, "diff"))) {
      problems.push(`layer ${id} has no files`);
    }
    const split = join(exportDir, "overlay-layers", `${id}.tar-split.gz`);
    if (gunzipSync(readFileSync(split)).length === 0) problems.push(`${split} is empty`);
  } catch (error) {
    problems.push(`layer ${id}: ${String(error)}`);
  }
  return problems;
}

function readList(path: string): readonly unknown[] | string {
  if (!existsSync(path)) return [];
  try {
    return JSON.parse(readFileSync(path, "utf8")) as readonly unknown[];
  } catch (error) {
    return `${path}: ${String(error)}`;
  }
}
