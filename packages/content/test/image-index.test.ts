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

  test("a wanted os.version chooses its build of Windows, whatever the revision, and no other", () => {
    const versions = ["10.0.17763.6532", "10.0.20348.2849", "10.0.26100.2314"];
    const { manifests } = indexOf(
      versions.map(() => "windows/amd64"),
      "docker",
    );
    const index: ImageIndex = {
      schemaVersion: 2,
      manifests: manifests.map((entry, at) => ({
        ...entry,
        platform: { ...platformOf("windows/amd64"), "os.version": versions[at] ?? "" },
      })),
    };
    const select = (version: string): Descriptor =>
      selectManifest(index, { ...platformOf("windows/amd64"), "os.version": version });
    expect(select("10.0.20348.1")).toBe(index.manifests[1]);
    expect(select("10.0.26100")).toBe(index.manifests[2]);
    expect(() => select("10.0.2034.2849")).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_PLATFORM_NOT_FOUND" }),
    );
    expect(selectManifest(index, platformOf("windows/amd64"))).toBe(index.manifests[0]);
  });

  test("an entry that needs features that are not wanted is passed over", () => {
    const [first, second] = indexOf(["windows/amd64", "windows/amd64"], "oci").manifests as [
      Descriptor,
      Descriptor,
    ];
    const needing = {
      ...first,
      platform: { ...platformOf("windows/amd64"), "os.features": ["win32k"] },
    };
    const index: ImageIndex = { schemaVersion: 2, manifests: [needing, second] };
    const wanted = (...features: string[]): Platform => ({
      ...platformOf("windows/amd64"),
      "os.features": features,
    });
    expect(selectManifest(index, wanted())).toBe(second);
    expect(selectManifest(index, wanted("win32k"))).toBe(needing);
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
