/** Opens a store and asks for the first of its blobs: `first-blob.ts ROOT RUN_ROOT`. */
import { openStore } from "@stowage/store";

const [root = "", runRoot = ""] = process.argv.slice(2);
await using store = await openStore({ root, runRoot });
process.stdout.write("open\n");
for await (const { digest } of store.blobs.walk()) {
  process.stdout.write(`${digest}\n`);
  break;
}
