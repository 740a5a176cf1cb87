/**
 * A process that uses a store as it is told, line by line: `store NAME`, `mount ID`, `unmount ID`,
 * `remove ID`, `raise NUMBER`.
 */
import { createInterface } from "node:readline";

import { openStore } from "@stowage/store";

import { asDigest, makeImage, storeImage } from "./store-world.ts";

const [root = "", runRoot = ""] = process.argv.slice(2);
const store = await openStore({ root, runRoot });
process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument = ""] = line.split(" ");
  try {
    process.stdout.write(`${JSON.stringify((await obey(command, argument)) ?? null)}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
  }
}
await store[Symbol.asyncDispose]();

async function obey(command: string | undefined, argument: string): Promise<unknown> {
  if (command === "mount") return (await store.mounts.mountContainer(argument)).count;
  if (command === "unmount") return await store.mounts.unmountContainer(argument);
  if (command === "remove") return await store.images.remove(asDigest(argument));
  if (command === "raise") return await store.marks.raise("mark", Number(argument));
  const image = makeImage(
    Array.from({ length: 200 }, (_, index) => ({ name: `file-${index}`, body: "x".repeat(999) })),
    [{ name: "top", body: "y" }],
  );
  await storeImage(store, image, argument);
  return image.id;
}
