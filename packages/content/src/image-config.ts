/**
 * How an image is run and which layers it is made of.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
 * @module
 */
import type { Digest } from "./digest.ts";
import { parseDigest } from "./digest.ts";
import { JsonShape } from "./internal/json-shape.ts";
import { parseJsonDocument } from "./json-document.ts";

/** What a container of the image gets if nobody says otherwise. */
export interface ImageExecution {
  readonly User?: string;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly ExposedPorts?: readonly string[];
  readonly Volumes?: readonly string[];
  readonly StopSignal?: string;
}

/** The uncompressed layers, base first. */
export interface RootFS {
  readonly type: "layers";
  readonly diff_ids: readonly Digest[];
}

/** One step of how the image came to be; says nothing about its identity. */
export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** The config blob; its digest is the image ID. */
export interface ImageConfig {
  readonly architecture?: string;
  readonly os?: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly created?: string;
  readonly author?: string;
  readonly config?: ImageExecution;
  readonly rootfs: RootFS;
  readonly history?: readonly HistoryEntry[];
}

/** The longest config that is accepted, in bytes. */
export const MAX_CONFIG_BYTES: number = 4 * 1024 * 1024;

const CODE = "ERR_CONTENT_INVALID_CONFIG";

/**
 * @throws {@link ContentError} `ERR_CONTENT_INVALID_CONFIG` for a field that is missing or of the
 *   wrong sort, or that holds a NUL; `ERR_CONTENT_INVALID_JSON`, `ERR_CONTENT_DUPLICATE_KEY` or
 *   `ERR_CONTENT_TOO_LARGE` as `parseJsonDocument`.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const shape = new JsonShape(
    parseJsonDocument(bytes, { maxBytes: MAX_CONFIG_BYTES, maxNodes: 200_000 }),
    "config",
    CODE,
  );
  const rootfs = shape.child("rootfs");
  if (rootfs.string("type") !== "layers") rootfs.fail('is not "layers"', "type");
  return {
    ...texts(shape, ["architecture", "os", "variant", "os.version", "created", "author"]),
    ...(shape.has("config") && { config: readExecution(shape.child("config")) }),
    rootfs: {
      type: "layers",
      diff_ids: rootfs.has("diff_ids")
        ? rootfs.strings("diff_ids").map((text) => parseDiffID(text, rootfs))
        : [],
    },
    ...(shape.has("history") && { history: shape.children("history").map(readHistory) }),
  };
}

function parseDiffID(text: string, rootfs: JsonShape): Digest {
  try {
    return parseDigest(text);
  } catch (error) {
    return rootfs.fail(error instanceof Error ? error.message : "is no digest", "diff_ids");
  }
}

function readExecution(shape: JsonShape): ImageExecution {
  const execution: ImageExecution = {
    ...texts(shape, ["User", "WorkingDir", "StopSignal"]),
    ...lists(shape, ["Env", "Entrypoint", "Cmd"]),
    ...(shape.has("Labels") && { Labels: shape.stringMap("Labels") }),
    ...(shape.has("ExposedPorts") && { ExposedPorts: shape.keySet("ExposedPorts") }),
    ...(shape.has("Volumes") && { Volumes: shape.keySet("Volumes") }),
  };
  // A NUL would end a C string early: the kernel would be given another text than was checked.
  const { User = "", WorkingDir = "", Env = [], Entrypoint = [], Cmd = [] } = execution;
  if ([User, WorkingDir, ...Env, ...Entrypoint, ...Cmd].some((text) => text.includes("\0"))) {
    shape.fail("holds a NUL character");
  }
  return execution;
}

function readHistory(shape: JsonShape): HistoryEntry {
  return {
    ...texts(shape, ["created", "created_by", "author", "comment"]),
    ...(shape.object["empty_layer"] === true && { empty_layer: true }),
  };
}

function texts<Key extends string>(
  shape: JsonShape,
  keys: readonly Key[],
): { readonly [K in Key]?: string } {
  const found: { [K in Key]?: string } = {};
  for (const key of keys) if (shape.has(key)) found[key] = shape.string(key);
  return found;
}

function lists<Key extends string>(
  shape: JsonShape,
  keys: readonly Key[],
): { readonly [K in Key]?: readonly string[] } {
  const found: { [K in Key]?: readonly string[] } = {};
  for (const key of keys) if (shape.has(key)) found[key] = shape.strings(key);
  return found;
}
