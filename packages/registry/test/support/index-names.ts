import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The names of the images in a layout, as its index has them. */
export async function indexNames(layout: string): Promise<readonly string[]> {
  const { manifests } = JSON.parse(await readFile(join(layout, "index.json"), "utf8")) as {
    readonly manifests: readonly { readonly annotations?: Readonly<Record<string, string>> }[];
  };
  return manifests.flatMap((one) => one.annotations?.["org.opencontainers.image.ref.name"] ?? []);
}
