import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Fills a store that has one image with a single name until it has `count` images. They share the
 * first one's layers and manifest; each has a config and a name of its own, as if pulled.
 */
export async function multiplyImages(root: string, count: number): Promise<void> {
  const images = join(root, "images");
  const names = join(root, "names");
  const [id] = (await readdir(images)).filter((entry) => /^[0-9a-f]{64}$/.test(entry));
  const [named] = await readdir(names);
  if (id === undefined || named === undefined) throw new Error(`no image with a name in ${root}`);
  const record = await readFile(join(images, id, "image.json"), "utf8");
  const name = await readJson(join(names, named));
  const config = await readJson(join(root, "blobs", "sha256", id));
  const size = (await readFile(join(root, "blobs", "sha256", id))).length;
  for (let at = 1; at < count; at += 1) {
    const bytes = JSON.stringify({ ...config, config: { Labels: { number: String(at) } } });
    const hex = sha256(bytes);
    await writeFile(join(root, "blobs", "sha256", hex), bytes);
    const own = JSON.parse(record.replaceAll(id, hex)) as {
      readonly config: { size: number };
      summary: object;
    };
    if (own.config.size !== size) throw new Error(`the record of ${id} has another size`);
    own.config.size = bytes.length;
    own.summary = { ...own.summary, user: undefined, labels: { number: String(at) } };
    await mkdir(join(images, hex));
    await writeFile(join(images, hex, "image.json"), formatRecord(own));
    const text = `registry.example/many/image:${at}`;
    const fields = { ...name, name: text, imageId: `sha256:${hex}`, generation: at + 1 };
    await writeFile(join(names, `${sha256(text)}.json`), formatRecord(fields));
  }
}

/** As the store writes its records. */
function formatRecord(record: object): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
