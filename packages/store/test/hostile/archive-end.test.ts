import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";

import { digestOf } from "@stowage/content";
import { describe, expect, test } from "vitest";

import { openLayerBench, type Refusal } from "../support/layer-bench.ts";
import { rawEntry, rawTar } from "../support/raw-tar.ts";

const file = rawEntry({ name: "f", body: "content" });
const BLOCK = Buffer.alloc(512);

describe("where an archive ends", () => {
  test.for([
    ["no end blocks", file],
    ["no padding behind the content, as umoci insert leaves it", file.subarray(0, 512 + 7)],
    ["padding that is cut", file.subarray(0, 1000)],
    ["one end block", Buffer.concat([file, BLOCK])],
    ["many end blocks", Buffer.concat([file, Buffer.alloc(20 * 512)])],
    ["9,000 zeros that are no whole block", Buffer.concat([file, Buffer.alloc(9000)])],
    [
      "garbage after the end",
      Buffer.concat([rawTar({ name: "f", body: "content" }), Buffer.from("garbage")]),
    ],
    [
      "T47 a second archive after the end",
      Buffer.concat([rawTar({ name: "f", body: "content" }), rawTar({ name: "g" })]),
    ],
  ] as const)(
    "T32 %s: accepted, hashed to the last byte, nothing after the end applied",
    async ([, archive]) => {
      await using bench = await openLayerBench();
      const { tree, diffID, diffSize } = await bench.unpackPacked(archive);
      expect(Object.keys(tree)).toEqual(["", "f"]);
      expect({ diffID, diffSize }).toEqual({ diffID: digestOf(archive), diffSize: archive.length });
    },
  );

  test.for([
    ["in content", rawEntry({ name: "f", body: "x".repeat(600) }).subarray(0, 700)],
    ["in a header", file.subarray(0, 300)],
    ["behind an extended header", rawEntry({ name: "f", pax: [["mtime", "1"]] }).subarray(0, 1024)],
  ] as const)("T32 an archive that is cut %s is refused", async ([, archive]) => {
    await using bench = await openLayerBench();
    expect(await bench.refusalOf(archive)).toMatchObject({ code: "ERR_STORE_INVALID_LAYER" });
  });

  test("T47 an archive in an archive is a file", async () => {
    await using bench = await openLayerBench();
    const { tree } = await bench.unpackPacked(
      rawTar({ name: "inner.tar", body: rawTar({ name: "x" }) }),
    );
    expect(Object.keys(tree)).toEqual(["", "inner.tar"]);
  });

  test.for<[string, Buffer, string]>([
    ["a page", Buffer.from(`<!DOCTYPE html><html>${"404 not found ".repeat(60)}</html>`), "HTML"],
    ["an answer of a registry", Buffer.from(`{"errors":[${" ".repeat(600)}]}`), "JSON"],
    ["a program", Buffer.concat([Buffer.from("\x7fELF"), Buffer.alloc(1000, 7)]), "a program"],
    [
      "a Debian package",
      Buffer.concat([Buffer.from("!<arch>\n"), Buffer.alloc(1000, 7)]),
      "ar archive",
    ],
    ["Z06 gzip in gzip", gzipSync(Buffer.concat([gzipSync(file), Buffer.alloc(600, 1)])), "gzip"],
  ])("T47 %s is refused, and the message says what it looks like", async ([name, bytes, kind]) => {
    await using bench = await openLayerBench();
    const unpacked = name.startsWith("Z06") ? bench.unpack(bytes) : bench.refusalOf(bytes);
    const { code, message } = (await unpacked.catch((error: unknown) => error)) as Refusal;
    expect({ code, message }).toEqual({
      code: "ERR_STORE_INVALID_LAYER",
      message: expect.stringContaining(kind),
    });
  });

  test("T47 Z11 a zip archive is refused as a packing that layers do not have", async () => {
    await using bench = await openLayerBench();
    const zip = execFileSync("python3", [
      "-c",
      "import io,sys,zipfile as z;b=io.BytesIO();f=z.ZipFile(b,'w');f.writestr('a','b');f.close();sys.stdout.buffer.write(b.getvalue())",
    ]);
    await expect(bench.unpack(zip)).rejects.toMatchObject({
      code: "ERR_STORE_UNSUPPORTED_COMPRESSION",
    });
  });
});
