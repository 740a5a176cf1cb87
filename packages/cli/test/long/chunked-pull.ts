/**
 * What a table of contents spares, in bytes that the registry sends and in time: `pnpm test:chunked
 * [--folder /usr/share/perl] [--link BYTES_PER_SECOND]`. An image of the folder's files is there in
 * three versions: the second has one file changed and one more, the third the files of the first
 * with other times. Each is pulled into a store that is empty, and into one that has the first.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";

import {
  noise,
  pushChunkedImage,
  startCountingProxy,
  startDockerRegistry,
  type TarEntry,
} from "@stowage/testkit";

import { openCliWorld } from "../support/cli-world.ts";

const { values } = parseArgs({
  options: {
    folder: { type: "string", default: "/usr/share/perl" },
    link: { type: "string", default: "0" },
  },
});
const DAY = 86_400;

await using registry = await startDockerRegistry();
const linkRate = Number(values.link) || undefined;
await using proxy = await startCountingProxy({ target: registry.host, linkRate });
const first = entriesOf(values.folder);
const middle = Math.floor(first.length / 2);
const second = first.map((entry, at) =>
  at === middle ? { ...entry, content: Buffer.concat([textOf(entry), noise("new", 100)]) } : entry,
);
second.splice(middle, 0, { name: "new", content: noise("new", 1000), mtime: DAY });
const versions = { "1": first, "2": second, "3": first.map((it) => ({ ...it, mtime: DAY })) };
for (const [tag, entries] of Object.entries(versions)) {
  await pushChunkedImage(`${registry.host}/team/app:${tag}`, entries);
}
for (const tag of ["2", "3"]) {
  for (const had of [undefined, "1"]) console.log(JSON.stringify(await pull(tag, had)));
}

async function pull(tag: string, had: string | undefined): Promise<object> {
  await using world = await openCliWorld();
  const name = `${proxy.host}/team/app`;
  if (had !== undefined) await world.ok("pull", "--tls-verify=false", `${name}:${had}`);
  const before = proxy.bytes;
  const started = performance.now();
  await world.ok("pull", "--tls-verify=false", `${name}:${tag}`);
  const seconds = Number(((performance.now() - started) / 1000).toFixed(2));
  return { version: tag, had, files: first.length, sent: proxy.bytes - before, seconds };
}

function entriesOf(folder: string): readonly TarEntry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((found) => found.isFile())
    .map((found) => join(found.parentPath, found.name))
    .toSorted()
    .map((path) => ({
      name: relative(folder, path),
      content: readFileSync(path),
      mtime: Math.floor(statSync(path).mtimeMs / 1000),
    }));
}

function textOf({ content = "" }: TarEntry): Uint8Array {
  return Buffer.from(content);
}
