import { digestOf, MAX_MANIFEST_BYTES, MEDIA_TYPE, parseManifest } from "@stowage/content";
import { describe, expect, test } from "vitest";

const BLOB = digestOf(Buffer.from("blob"));
const CONFIG = { mediaType: MEDIA_TYPE.imageConfig, digest: BLOB, size: 4 };
const LAYER = { mediaType: MEDIA_TYPE.layerGzip, digest: BLOB, size: 4 };
const MANIFEST = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.imageManifest,
  config: CONFIG,
  layers: [LAYER],
};
const INDEX = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] };

describe("parseManifest", () => {
  test("keeps the bytes, and names them", () => {
    const bytes = Buffer.from(`${JSON.stringify(MANIFEST, null, 3)}\n`);
    const fetched = parseManifest(bytes, `${MEDIA_TYPE.imageManifest}; charset=utf-8`);
    expect(fetched.bytes).toBe(bytes);
    expect(fetched.descriptor).toEqual({
      mediaType: MEDIA_TYPE.imageManifest,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    expect(fetched.document).toMatchObject({ kind: "manifest", manifest: { layers: [LAYER] } });
  });

  test.for([undefined, "", "application/json", "text/plain"])(
    "H19: decides by the document when announced as %s",
    (type) => {
      const { mediaType: _, ...bare } = INDEX;
      expect(read(bare, type).document.kind).toBe("index");
      expect(read(bare, type).descriptor.mediaType).toBe(MEDIA_TYPE.imageIndex);
    },
  );

  test.for([
    ["PL-07, M05: fields of both kinds", { ...MANIFEST, manifests: [] }, undefined],
    ["M05: fsLayers beside layers", { ...MANIFEST, fsLayers: [] }, undefined],
    ["M04: Layers", { ...MANIFEST, Layers: [] }, undefined],
    ["M04: a mediatype of other case", { ...MANIFEST, mediatype: "x" }, undefined],
    ["M04: a long s", { ...MANIFEST, ["layer\u017f"]: [] }, undefined],
    ["M07, V20: an index announced as a manifest", INDEX, MEDIA_TYPE.imageManifest],
    [
      "V20: a manifest that calls itself an index",
      { ...MANIFEST, mediaType: MEDIA_TYPE.imageIndex },
      undefined,
    ],
    ["H19: a type that differs from the announced one", MANIFEST, MEDIA_TYPE.dockerManifest],
  ] as const)("%s is ambiguous", ([, document, type]) => {
    expect(() => read(document, type)).toThrow(
      expect.objectContaining({
        code: "ERR_CONTENT_AMBIGUOUS_MANIFEST",
        kind: "ManifestAmbiguous",
      }),
    );
  });

  test.for([
    ["M02: an array", []],
    ["M02: a string", "x"],
    ["M06: schema version 3", { ...MANIFEST, schemaVersion: 3 }],
    ["M06: schema version as text", { ...MANIFEST, schemaVersion: "2" }],
    ["M06: no schema version", { config: CONFIG, layers: [] }],
    ["neither kind", { schemaVersion: 2 }],
    ["M14: a negative size", { ...MANIFEST, layers: [{ ...LAYER, size: -1 }] }],
    ["M14: half a byte", { ...MANIFEST, layers: [{ ...LAYER, size: 1.5 }] }],
    ["M14: a size as text", { ...MANIFEST, layers: [{ ...LAYER, size: "4" }] }],
    ["M14: no size", { ...MANIFEST, layers: [{ mediaType: LAYER.mediaType, digest: BLOB }] }],
    ["M13: one digest with two sizes", { ...MANIFEST, layers: [LAYER, { ...LAYER, size: 5 }] }],
    ["D08: annotations that are no text", { ...MANIFEST, annotations: { a: 1 } }],
  ] as const)("%s is invalid", ([, document]) => {
    expect(() => read(document)).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_MANIFEST" }),
    );
  });

  test.for([
    "1e3",
    "4.0",
    "1e400",
    "9007199254740993",
    "9007199254740992",
    "-0",
    "null",
    '"4"',
    "[4]",
  ])("M14, V34: %s is no size", (size) => {
    const text = JSON.stringify(MANIFEST).replaceAll('"size":4', `"size":${size}`);
    expect(() => parseManifest(Buffer.from(text))).toThrow(
      expect.objectContaining({ kind: "ManifestInvalid" }),
    );
  });

  test("M10, M33: whatever stands in annotations, bytes and digest stay", () => {
    const hostile = String.raw`\ud800 \u0000 \u2028 \u001b[2J \u202e`;
    const text = JSON.stringify(MANIFEST).replace("{", `{"annotations":{"a":"${hostile}"},`);
    const bytes = Buffer.from(text);
    const fetched = parseManifest(bytes);
    expect(fetched.bytes).toBe(bytes);
    expect(fetched.descriptor.digest).toBe(digestOf(bytes));
    expect(fetched.document).toMatchObject({
      manifest: { annotations: { a: "\ud800 \u0000 \u2028 \u001b[2J \u202e" } },
    });
  });

  test("M10: a field's own text is escaped where a message repeats it", () => {
    const type = "application/\u001b[2J\u202e";
    expect(() => read({ ...MANIFEST, mediaType: type })).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/[\u001b\u202e]/u) }),
    );
  });

  test("M18: urls are only read, however many and whatever they are", () => {
    const urls = ["file:///etc/shadow", "http://169.254.169.254/", ...Array(10_000).fill("x:y")];
    const { document } = read({ ...MANIFEST, layers: [{ ...LAYER, urls }] });
    expect(document).toMatchObject({ manifest: { layers: [{ urls }] } });
  });

  test("M19: the data of a descriptor is only read", () => {
    const data = Buffer.from("other bytes").toString("base64");
    const { document } = read({ ...MANIFEST, layers: [{ ...LAYER, data }] });
    expect(document).toMatchObject({ manifest: { layers: [{ digest: BLOB, data }] } });
  });

  test.for([
    ["a config", { architecture: "amd64", os: "linux", rootfs: {} }, MEDIA_TYPE.imageConfig],
    ["a layer", MANIFEST, MEDIA_TYPE.layerGzip],
    ["HTML", MANIFEST, "text/html"],
  ] as const)("M22: what is announced as %s is no manifest", ([, document, type]) => {
    expect(() => read(document, type)).toThrow(
      expect.objectContaining({ kind: "MediaTypeUnsupported" }),
    );
  });

  test.for(["1", "3", "2.0", '"2"', "null", "[2]", "true"])(
    "M06: schema version %s is invalid",
    (version) => {
      const text = JSON.stringify(MANIFEST).replace(
        '"schemaVersion":2',
        `"schemaVersion":${version}`,
      );
      expect(() => parseManifest(Buffer.from(text))).toThrow(
        expect.objectContaining({
          kind: version === "1" ? "MediaTypeUnsupported" : "ManifestInvalid",
        }),
      );
    },
  );

  test("M12: one layer two hundred times is read as it is, and fast", () => {
    const { document } = read({ ...MANIFEST, layers: Array.from({ length: 200 }, () => LAYER) });
    expect(document.kind === "manifest" && document.manifest.layers).toHaveLength(200);
  });

  test("D04, D09: one document has a name of each algorithm, and keeps the one it was asked by", () => {
    const bytes = Buffer.from(JSON.stringify(MANIFEST));
    const sha512 = digestOf(bytes, "sha512");
    expect(parseManifest(bytes, undefined, sha512).descriptor.digest).toBe(sha512);
    expect(parseManifest(bytes).descriptor.digest).toBe(digestOf(bytes));
    expect(sha512).not.toBe(digestOf(bytes));
  });

  test("M14: minus zero is no size", () => {
    const text = JSON.stringify(MANIFEST).replace('"size":4}]', '"size":-0}]');
    expect(() => parseManifest(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_MANIFEST" }),
    );
  });

  test("M06: schema 1 is named as what it is", () => {
    const schema1 = { schemaVersion: 1, fsLayers: [], history: [] };
    expect(() => read(schema1)).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_UNSUPPORTED_MEDIA_TYPE" }),
    );
  });

  test("D08: unknown fields of descriptors are let through", () => {
    expect(read({ ...MANIFEST, layers: [{ ...LAYER, novel: true }] }).document.kind).toBe(
      "manifest",
    );
  });

  test("PL-03, H21: four MiB are read, a byte more is not", () => {
    const padded = (length: number) => {
      const text = JSON.stringify(MANIFEST);
      return Buffer.from(text + " ".repeat(length - text.length));
    };
    expect(parseManifest(padded(MAX_MANIFEST_BYTES)).document.kind).toBe("manifest");
    expect(() => parseManifest(padded(MAX_MANIFEST_BYTES + 1))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
  });

  test("M20: an index of a thousand entries is read, one more is not", () => {
    const index = (count: number) => ({
      ...INDEX,
      manifests: Array.from({ length: count }, () => ({
        ...LAYER,
        mediaType: MEDIA_TYPE.imageManifest,
      })),
    });
    expect(read(index(1000)).document.kind).toBe("index");
    expect(() => read(index(1001))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
  });
});

function read(document: unknown, mediaType?: string) {
  return parseManifest(Buffer.from(JSON.stringify(document)), mediaType);
}
