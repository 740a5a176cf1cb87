import { readFileSync } from "node:fs";

import {
  type Descriptor,
  digestOf,
  type ImageIndex,
  MEDIA_TYPE,
  parsePlatform,
  type Platform,
  selectManifest,
} from "@stowage/content";
import { describe, expect, test } from "vitest";

interface ChooseVector {
  readonly id: string;
  readonly input: {
    readonly op: string;
    readonly listKind: "oci" | "docker";
    readonly wanted: string;
    readonly entries: readonly string[];
  };
  readonly expect: { readonly index?: number; readonly error?: string };
  readonly why: string;
}

const VECTORS = (
  JSON.parse(
    readFileSync(new URL("vectors/pipeline.json", import.meta.url), "utf8"),
  ) as ChooseVector[]
).filter(({ input }) => input.op === "chooseInstance");

describe("selectManifest", () => {
  test.for(VECTORS.map((vector) => [vector.id, vector.why, vector] as const))(
    "%s: %s",
    ([, , { input, expect: expected }]) => {
      const index = indexOf(input.entries, input.listKind);
      const choose = () =>
        index.manifests.indexOf(selectManifest(index, parsePlatform(input.wanted)));
      if (expected.error === undefined) {
        expect(choose()).toBe(expected.index);
      } else {
        expect(choose).toThrow(expect.objectContaining({ code: "ERR_CONTENT_PLATFORM_NOT_FOUND" }));
      }
    },
  );

  test("every chooseInstance vector is here", () => {
    expect(VECTORS.length).toBe(20);
  });

  test("among equals the entry marked as zstd comes first", () => {
    const [gzip, zstd] = indexOf(["linux/amd64", "linux/amd64"], "oci").manifests as [
      Descriptor,
      Descriptor,
    ];
    const marked = { ...zstd, annotations: { "io.github.containers.compression.zstd": "true" } };
    const index: ImageIndex = { schemaVersion: 2, manifests: [gzip, marked] };
    expect(selectManifest(index, { os: "linux", architecture: "amd64" })).toBe(marked);
  });

  test("a refusal says what there is instead", () => {
    const index = indexOf(["linux/arm64/v8", "unknown/unknown"], "oci");
    expect(() => selectManifest(index, { os: "linux", architecture: "amd64" })).toThrow(
      expect.objectContaining({
        hint: "The index has linux/arm64/v8; choose one with --platform.",
      }),
    );
  });
});

describe("parsePlatform", () => {
  test.for(["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/am d64", "linux\n/amd64"])(
    "refuses %j",
    (text) => {
      expect(() => parsePlatform(text)).toThrow(
        expect.objectContaining({ code: "ERR_CONTENT_INVALID_PLATFORM" }),
      );
    },
  );
});

function indexOf(entries: readonly string[], listKind: "oci" | "docker"): ImageIndex {
  return {
    schemaVersion: 2,
    mediaType: listKind === "oci" ? MEDIA_TYPE.imageIndex : MEDIA_TYPE.dockerManifestList,
    manifests: entries.map((text, at) => ({
      mediaType: MEDIA_TYPE.imageManifest,
      digest: digestOf(Buffer.of(at)),
      size: 1,
      ...(text !== "(no platform)" && { platform: platformOf(text) }),
    })),
  };
}

function platformOf(text: string): Platform {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, ...(variant && { variant }) };
}
