import { digestOf, MAX_CONFIG_BYTES, parseImageConfig } from "@stowage/content";
import { describe, expect, test } from "vitest";

const DIFF_ID = digestOf(Buffer.from("layer"));
const CONFIG = {
  architecture: "amd64",
  os: "linux",
  rootfs: { type: "layers", diff_ids: [DIFF_ID] },
};

describe("parseImageConfig", () => {
  test("reads what a container needs", () => {
    const config = read({
      ...CONFIG,
      config: {
        User: "1000:1000",
        Env: ["A=b"],
        Cmd: ["sh"],
        Entrypoint: null,
        Labels: { a: "b" },
        ExposedPorts: { "80/tcp": {} },
      },
    });
    expect(config.rootfs.diff_ids).toEqual([DIFF_ID]);
    expect(config.config).toMatchObject({
      User: "1000:1000",
      Env: ["A=b"],
      Cmd: ["sh"],
      ExposedPorts: ["80/tcp"],
    });
    expect(config.config?.Entrypoint).toBeUndefined();
  });

  test("M32: leaves alone what Docker adds", () => {
    expect(read({ ...CONFIG, container_config: { Cmd: 1 }, Id: 7, parent: "x" }).os).toBe("linux");
  });

  test("IS-075: an empty list of diff IDs can be read", () => {
    expect(read({ rootfs: { type: "layers" } }).rootfs.diff_ids).toEqual([]);
  });

  test.for([
    ["M23: no rootfs", { os: "linux" }],
    ["M23: a rootfs of another type", { rootfs: { type: "files", diff_ids: [] } }],
    ["M23: a diff ID that is no digest", { rootfs: { type: "layers", diff_ids: ["sha256:../x"] } }],
    ["M26: a NUL in the environment", { ...CONFIG, config: { Env: ["A=b\0C=d"] } }],
    ["M26: a NUL in the working directory", { ...CONFIG, config: { WorkingDir: "/\0" } }],
    ["an argument that is no text", { ...CONFIG, config: { Cmd: [1] } }],
    ["a label that is no text", { ...CONFIG, config: { Labels: { a: 1 } } }],
    ["M02: an array", []],
  ] as const)("%s is invalid", ([, document]) => {
    expect(() => read(document)).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_INVALID_CONFIG", kind: "ConfigInvalid" }),
    );
  });

  test("M25: a long history is read or refused by a cap, and says nothing of layers", () => {
    const history = (count: number) =>
      Array.from({ length: count }, () => ({ empty_layer: false, created_by: "x" }));
    const read10k = read({ ...CONFIG, history: history(10_000) });
    expect(read10k.history).toHaveLength(10_000);
    expect(read10k.rootfs.diff_ids).toEqual([DIFF_ID]);
    expect(() => read({ ...CONFIG, history: history(100_000) })).toThrow(
      expect.objectContaining({ kind: "LimitExceeded" }),
    );
  });

  test.for(["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999999Z", "yesterday", ""])(
    "M31: a time of %j is only text",
    (created) => {
      expect(read({ ...CONFIG, created }).created).toBe(created);
    },
  );

  test("PL-04, M23: four MiB are read, a byte more is not", () => {
    const padded = (length: number) => Buffer.from(JSON.stringify(CONFIG).padEnd(length));
    expect(parseImageConfig(padded(MAX_CONFIG_BYTES)).os).toBe("linux");
    expect(() => parseImageConfig(padded(MAX_CONFIG_BYTES + 1))).toThrow(
      expect.objectContaining({ code: "ERR_CONTENT_TOO_LARGE" }),
    );
  });

  test("M09: labels named as parts of every object are only labels", () => {
    const text = JSON.stringify(CONFIG).replace(
      "{",
      '{"config":{"Labels":{"__proto__":"x","toString":"y"}},',
    );
    const { config } = parseImageConfig(Buffer.from(text));
    expect(Object.entries(config?.Labels ?? {})).toEqual([
      ["__proto__", "x"],
      ["toString", "y"],
    ]);
  });
});

function read(document: unknown) {
  return parseImageConfig(Buffer.from(JSON.stringify(document)));
}
