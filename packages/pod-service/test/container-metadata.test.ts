import type { Digest } from "@stowage/content";
import {
  type ContainerMetadata,
  formatContainerMetadata,
  parseContainerMetadata,
} from "@stowage/pod-service";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

const IMAGE_ID = `sha256:${"a".repeat(64)}` as Digest;
const LEAST: ContainerMetadata = {
  podName: "p",
  podId: "P",
  imageName: "i",
  imageId: IMAGE_ID,
  name: "c",
  metadataName: "m",
  attempt: 0,
  createdAt: 0,
  pod: false,
  privileged: false,
};

describe("formatContainerMetadata", () => {
  test("PM-28: leaves out what says nothing, and never what identifies", () => {
    const metadata = { ...LEAST, uid: "", namespace: "", mountLabel: "" };
    expect(JSON.parse(formatContainerMetadata(metadata))).toEqual({
      "pod-name": "p",
      "pod-id": "P",
      "image-name": "i",
      "image-id": IMAGE_ID,
      name: "c",
      "metadata-name": "m",
      "created-at": 0,
    });
  });

  test("R10: writes every key as CRI-O spells it", () => {
    const metadata = { ...LEAST, uid: "u", namespace: "n", attempt: 2, createdAt: 9 };
    const text = formatContainerMetadata({
      ...metadata,
      mountLabel: "l",
      pod: true,
      privileged: true,
    });
    expect(Object.keys(JSON.parse(text) as object)).toEqual(
      "pod-name pod-id image-name image-id name metadata-name uid namespace attempt created-at mountlabel pod privileged".split(
        " ",
      ),
    );
  });
});

describe("parseContainerMetadata", () => {
  test("reads what was written", () => {
    const optional = fc.option(fc.string({ minLength: 1 }), { nil: undefined });
    const metadata = fc.record({
      podName: fc.string(),
      podId: fc.string(),
      imageName: fc.string(),
      name: fc.string({ minLength: 1 }),
      metadataName: fc.string({ minLength: 1 }),
      uid: optional,
      namespace: optional,
      mountLabel: optional,
      attempt: fc.nat(0xffff_ffff),
      createdAt: fc.maxSafeInteger(),
      pod: fc.boolean(),
      privileged: fc.boolean(),
    });
    fc.assert(
      fc.property(metadata, (fields) => {
        const { uid, namespace, mountLabel, ...rest } = fields;
        const whole: ContainerMetadata = {
          ...rest,
          imageId: IMAGE_ID,
          ...(uid && { uid }),
          ...(namespace && { namespace }),
          ...(mountLabel && { mountLabel }),
        };
        expect(parseContainerMetadata(formatContainerMetadata(whole))).toEqual(whole);
      }),
    );
  });

  test("PM-29: does not mind unknown keys, other cases, other orders, or bare image IDs", () => {
    const text = `{"Name":"c","future":{"x":[1]},"POD-ID":"P","pod-Name":"p","image-id":"${"a".repeat(64)}","__proto__":{"pod":true},"uid":null}`;
    const metadata = { ...LEAST, imageName: "", metadataName: "c" };
    expect(parseContainerMetadata(text)).toEqual(metadata);
    expect(formatContainerMetadata(parseContainerMetadata(text))).not.toContain("future");
  });

  test.for([
    "",
    "not JSON",
    "[]",
    '"text"',
    "7",
    '{"pod":1}',
    '{"name":{}}',
    '{"attempt":-1}',
    '{"attempt":4294967296}',
    '{"attempt":"1"}',
    '{"created-at":1.5}',
    '{"image-id":"../x"}',
  ])("PM-30: refuses %j", (text) => {
    expect(() => parseContainerMetadata(text)).toThrow(
      expect.objectContaining({ code: "ERR_POD_INVALID_METADATA" }),
    );
  });
});
