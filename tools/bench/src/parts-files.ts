import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { PartWay } from "./parts-report.ts";
import { type FileCallsModule, type LibcModule, loadStoreModule } from "./store-internals.ts";

const FILES = 10_000;
const FILES_PER_DIRECTORY = 100;
const CONTENT = Buffer.from("the content of a small file\n".repeat(64));
const AT_ONCE = 16;
const MODE = 0o644;

/** Ways to make small files, a hundred to a directory, below a folder. */
export async function fileParts(folder: string, scale: number): Promise<readonly PartWay[]> {
  const { OPEN, tryOpenAt, closeDescriptor } =
    await loadStoreModule<FileCallsModule>("file-calls.ts");
  const { cString } = await loadStoreModule<LibcModule>("libc.ts");
  const count = Math.max(FILES_PER_DIRECTORY, Math.round(FILES * scale));
  const root = join(folder, "made");
  const way = (name: string, fill: (directory: string) => Promise<void> | void): PartWay => ({
    part: "files",
    way: name,
    unit: "files/s",
    async run() {
      rmSync(root, { recursive: true, force: true });
      for (let first = 0; first < count; first += FILES_PER_DIRECTORY) {
        const directory = join(root, String(first));
        mkdirSync(directory, { recursive: true });
        await fill(directory);
      }
      return Math.ceil(count / FILES_PER_DIRECTORY) * FILES_PER_DIRECTORY;
    },
  });
  const flags = OPEN.writeOnly | OPEN.create | OPEN.exclusive;
  return [
    way("fs.promises.writeFile, 16 at once", async (directory) => {
      const names = NAMES.values();
      const writer = async (): Promise<void> => {
        for (const name of names) await writeFile(join(directory, name), CONTENT);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, writer));
    }),
    way("fs.writeFileSync", (directory) => {
      for (const name of NAMES) writeFileSync(join(directory, name), CONTENT);
    }),
    way("fs.openSync, writeSync, closeSync", (directory) => {
      for (const name of NAMES) {
        const fd = openSync(join(directory, name), "wx", MODE);
        writeSync(fd, CONTENT);
        closeSync(fd);
      }
    }),
    way("openat and close of the store, fs.writeSync", (directory) => {
      const parent = openSync(directory, "r");
      for (const name of NAMES) {
        const fd = tryOpenAt(parent, cString(name), flags, MODE);
        writeSync(fd, CONTENT);
        closeDescriptor(fd);
      }
      closeSync(parent);
    }),
  ];
}

const NAMES: readonly string[] = Array.from(
  { length: FILES_PER_DIRECTORY },
  (_, at) => `file-${at}.txt`,
);
