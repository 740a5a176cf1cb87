import { Readable } from "node:stream";

import {
  asVerified,
  type ContentProvider,
  type Descriptor,
  digestOf,
  readContent,
  verifyContent,
} from "@stowage/content";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const HELLO = Buffer.from("hello, registry");
const ALTERED = Buffer.from(HELLO.with(0, 0x69));

describe("verifyContent", () => {
  test("passes on any bytes, however they are cut", async () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 16 });
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        const whole = Buffer.concat(chunks);
        const passed = verifyContent(Readable.from(chunks), descriptorOf(whole));
        expect(Buffer.concat(await Array.fromAsync(passed))).toEqual(whole);
      }),
    );
  });

  test("what is verified already is passed on as it is, and held to another descriptor still", async () => {
    const once = verifyContent(Readable.from([HELLO]), descriptorOf(HELLO));
    expect(verifyContent(once, descriptorOf(HELLO))).toBe(once);
    const inner = verifyContent(Readable.from([HELLO]), descriptorOf(HELLO));
    const own = asVerified(inner, descriptorOf(ALTERED));
    expect(verifyContent(own, descriptorOf(ALTERED))).toBe(own);
    const other = verifyContent(once, descriptorOf(ALTERED));
    await expect(Array.fromAsync(other)).rejects.toMatchObject({
      code: "ERR_CONTENT_DIGEST_MISMATCH",
    });
  });

  test.for([
    ["a byte too few", [HELLO.subarray(1)], "ERR_CONTENT_SIZE_MISMATCH", "ello, registry"],
    ["a byte too many", [HELLO, Buffer.of(0)], "ERR_CONTENT_SIZE_MISMATCH", "hello, registry"],
    ["a byte altered", [ALTERED], "ERR_CONTENT_DIGEST_MISMATCH", "iello, registry"],
  ] as const)("rejects %s, having passed on none past the size", async ([, chunks, code, seen]) => {
    let passed = "";
    const drain = async () => {
      for await (const chunk of verifyContent(Readable.from(chunks), descriptorOf(HELLO))) {
        passed += Buffer.from(chunk).toString();
      }
    };
    await expect(drain()).rejects.toMatchObject({ name: "ContentError", code });
    expect(passed).toBe(seen);
  });

  test("closes its source when the reader leaves early", async () => {
    const source = Readable.from([HELLO, HELLO]);
    const twice = { ...descriptorOf(HELLO), size: 2 * HELLO.length };
    for await (const _ of verifyContent(source, twice)) break;
    expect(source.destroyed).toBe(true);
  });
});

describe("readContent", () => {
  const held: ContentProvider = {
    openContent: () => Readable.from([HELLO.subarray(0, 5), HELLO.subarray(5)]),
  };
  const untouchable: ContentProvider = { openContent: () => expect.fail("content was opened") };

  test("reads content that is exactly at the limit", async () => {
    const read = await readContent(held, descriptorOf(HELLO), { maxBytes: HELLO.length });
    expect(Buffer.from(read)).toEqual(HELLO);
  });

  test("opens nothing that is over the limit", async () => {
    const read = readContent(untouchable, descriptorOf(HELLO), { maxBytes: HELLO.length - 1 });
    await expect(read).rejects.toMatchObject({ code: "ERR_CONTENT_TOO_LARGE" });
  });

  test("opens nothing once its signal has fired, and rejects with the reason", async () => {
    const reason = new Error("shutting down");
    const signal = AbortSignal.abort(reason);
    await expect(readContent(untouchable, descriptorOf(HELLO), { signal })).rejects.toBe(reason);
  });

  test("V26: takes no memory for a size that is only claimed", async () => {
    const claimed = { ...descriptorOf(HELLO), size: 2 ** 40 };
    const read = readContent(held, claimed, { maxBytes: Number.MAX_SAFE_INTEGER });
    await expect(read).rejects.toMatchObject({ code: "ERR_CONTENT_SIZE_MISMATCH" });
  });
});

function descriptorOf(bytes: Uint8Array): Descriptor {
  return { mediaType: "text/plain", digest: digestOf(bytes), size: bytes.byteLength };
}
