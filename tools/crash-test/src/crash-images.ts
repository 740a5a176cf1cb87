import type { ImageSpec, TarEntry } from "@stowage/testkit";

/** An image to be crashed on, and what its files have to hold. */
export interface CrashImage {
  readonly spec: ImageSpec;
  /** The content of each regular file of the mounted image. */
  readonly files: ReadonlyMap<string, string>;
}

const layers = ["base", "middle", "top", "other"].map((name) => layerEntries(name));
const [base = [], middle = [], top = [], other = []] = layers;

/** Three layers of five entries each, one of them compressed with zstd. */
export const APP: CrashImage = imageOf([base, middle, top], "zstd");

/** Has the lowest layer of {@link APP} too. */
export const OTHER: CrashImage = imageOf([base, other], "gzip");

function imageOf(entries: readonly (readonly TarEntry[])[], second: "gzip" | "zstd"): CrashImage {
  const files = new Map<string, string>();
  for (const { name, content } of entries.flat()) {
    if (typeof content === "string") files.set(String(name), content);
  }
  return {
    files,
    spec: {
      layers: entries.map((list, at) => ({
        entries: list,
        compression: at === 1 ? second : "gzip",
      })),
      config: { Cmd: ["/base/tool"] },
    },
  };
}

function layerEntries(name: string): readonly TarEntry[] {
  return [
    { name, type: "directory", mode: 0o755 },
    { name: `${name}/tool`, content: `#!/bin/sh\necho ${name}\n`, mode: 0o755 },
    { name: `${name}/data`, content: `${name} `.repeat(3000) },
    { name: `${name}/same`, type: "hard-link", linkName: `${name}/data` },
    { name: `${name}/link`, type: "symlink", linkName: "tool" },
  ];
}
