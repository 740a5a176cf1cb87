import { createMemoryContentStore, digestOf, MEDIA_TYPE, readContent } from "@stowage/content";
import { expect, test } from "vitest";

const BYTES = Buffer.from("layer");
const DESCRIPTOR = { mediaType: MEDIA_TYPE.layerTar, digest: digestOf(BYTES), size: BYTES.length };

test("gives back what it took, from any offset", async () => {
  const store = createMemoryContentStore();
  await store.write(DESCRIPTOR, chunks(BYTES));
  expect(Buffer.from(await readContent(store, DESCRIPTOR))).toEqual(BYTES);
  expect(
    Buffer.concat(await Array.fromAsync(store.openContent(DESCRIPTOR, { offset: 2 }))).toString(),
  ).toBe("yer");
  expect(await Array.fromAsync(store.walk())).toEqual([{ digest: DESCRIPTOR.digest, size: 5 }]);
});

test("keeps nothing of bytes that are not what they are called", async () => {
  const store = createMemoryContentStore();
  await expect(store.write(DESCRIPTOR, chunks(Buffer.from("liar!")))).rejects.toMatchObject({
    code: "ERR_CONTENT_DIGEST_MISMATCH",
  });
  expect(await store.stat(DESCRIPTOR.digest)).toBeUndefined();
});

test("does not open the source of what is here", async () => {
  const store = createMemoryContentStore();
  await store.write(DESCRIPTOR, chunks(BYTES));
  await store.write(DESCRIPTOR, {
    [Symbol.asyncIterator]: () => expect.fail("the source was opened"),
  });
});

test("names what is not here", async () => {
  const store = createMemoryContentStore();
  await expect(readContent(store, DESCRIPTOR)).rejects.toMatchObject({
    code: "ERR_CONTENT_NOT_FOUND",
  });
  expect(await store.remove(DESCRIPTOR.digest)).toBe(false);
});

async function* chunks(...bytes: Uint8Array[]) {
  yield* bytes;
}
