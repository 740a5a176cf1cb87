/** Reads all that a store has, and prints what came of each: `read-store.ts ROOT RUN_ROOT`. */
import { hasErrorCode, type Digest } from "@stowage/content";
import { openStore, StoreError } from "@stowage/store";

const [root = "", runRoot = ""] = process.argv.slice(2);
const codeOf = (error: unknown): string => {
  if (error instanceof StoreError) return error.code;
  return hasErrorCode(error, "ERR_CONTENT_NOT_FOUND") ? "not found" : `raw: ${String(error)}`;
};
const attempt = async (action: () => Promise<string>): Promise<string> => {
  try {
    return await action();
  } catch (error) {
    return codeOf(error);
  }
};
await using store = await openStore({ root, runRoot });
const listed = await attempt(async () => {
  const { images, damaged } = await store.images.list();
  return `${images.length} images, damaged: ${damaged.map(codeOf).join()}`;
});
const blobs: Record<string, string> = {};
const names = await attempt(async () => {
  for await (const { digest, size } of store.blobs.walk()) {
    blobs[digest] = await attempt(() => readBlob(digest, size));
  }
  return "listed";
});
const checked = await attempt(async () => {
  const { damages } = await store.check();
  return damages.map(({ kind, fault }) => `${kind} ${fault}`).join();
});
process.stdout.write(JSON.stringify({ listed, names, blobs, checked }));

async function readBlob(digest: Digest, size: number): Promise<string> {
  let bytes = 0;
  for await (const chunk of store.blobs.openContent({ mediaType: "", digest, size })) {
    bytes += chunk.length;
  }
  return bytes === size ? "read" : `${bytes} of ${size}`;
}
