/**
 * An image's config and what the caller wants otherwise, as an OCI run configuration.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.1.0/config.md
 * @module
 */
import type { ImageConfig } from "@stowage/content";

import { LINUX_DEFAULTS, MOUNTS } from "./linux-defaults.ts";
import { createProcess, type ProcessOptions } from "./oci-process.ts";

/** What {@link createOciConfig} writes. Keys as the specification spells them. */
export interface OciConfig {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: OciLinux;
}

/** The process of a container. */
export interface OciProcess {
  readonly terminal: boolean;
  readonly user: OciUser;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<string, readonly string[]>>;
  readonly noNewPrivileges: boolean;
}

/** Who a process runs as. */
export interface OciUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids?: readonly number[];
  /** What is taken from the modes of files that the process makes. */
  readonly umask?: number;
}

/** One file system that the runtime mounts in the container. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** What only Linux has. */
export interface OciLinux {
  readonly namespaces: readonly { readonly type: string }[];
  readonly resources: object;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

/** How a container runs, where it is not as its image says. */
export interface RunOptions extends ProcessOptions {
  /** The first 12 digits of the container's ID, unless told. */
  readonly hostname?: string | undefined;
  /** @defaultValue false */
  readonly readonlyRoot?: boolean | undefined;
  /**
   * `"none"`: a network of its own, with a loopback device and nothing else. `"host"`: the host's.
   *
   * @defaultValue "none"
   */
  readonly network?: "none" | "host" | undefined;
}

/**
 * The annotation that holds the user whom the process shall run as. Names are looked up in the root
 * file system, which is there only when the container starts; until then the process belongs to
 * {@link NOBODY}, so that a template which somebody starts as it is gains nothing.
 */
export const USER_ANNOTATION = "dev.stowage.user";

/** Who a process belongs to until its user was looked up. */
export const NOBODY: OciUser = { uid: 65_534, gid: 65_534 };

/** What a template's `root.path` says until a start replaces it. */
export const ROOT_PLACEHOLDER = "rootfs";

/**
 * The run configuration of container `id`: the template that each of its starts completes.
 *
 * @throws {@link RuntimeError} `ERR_RUNTIME_NO_COMMAND`, `ERR_RUNTIME_INVALID_PROCESS`,
 *   `ERR_RUNTIME_INVALID_USER`.
 */
export function createOciConfig(
  id: string,
  image: ImageConfig,
  options: RunOptions = {},
): OciConfig {
  const { network = "none" } = options;
  const { process, user } = createProcess(image.config ?? {}, options);
  return {
    ociVersion: "1.1.0",
    process,
    root: { path: ROOT_PLACEHOLDER, readonly: options.readonlyRoot ?? false },
    hostname: options.hostname ?? id.slice(0, 12),
    mounts: MOUNTS,
    annotations: { [USER_ANNOTATION]: user },
    linux: {
      ...LINUX_DEFAULTS,
      namespaces: LINUX_DEFAULTS.namespaces.filter(
        ({ type }) => network === "none" || type !== "network",
      ),
    },
  };
}
