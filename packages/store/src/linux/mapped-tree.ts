import { closeSync } from "node:fs";
import { relative } from "node:path";

import { AT_CWD, OPEN, RESOLVE, tryOpenBeneath } from "./file-calls.ts";
import { MOUNT_SYSCALL } from "./fs-context.ts";
import { checkResult, cString, libcFunction, systemError } from "./libc.ts";

const OPEN_TREE_CLONE = 1;
const AT_EMPTY_PATH = 0x1000;
const MOUNT_ATTR_IDMAP = 0x0010_0000n;

const openTree = libcFunction<[number, number, Uint8Array, number]>(
  "syscall",
  ["long", "int", "pointer", "uint"],
  "long",
);
const mountSetattr = libcFunction<[number, number, Uint8Array, number, Uint8Array, number]>(
  "syscall",
  ["long", "int", "pointer", "uint", "pointer", "ulong"],
  "long",
);

/**
 * Directories seen with other owners: mounts of them that are nowhere, whose users and groups are
 * those of a user namespace. They end when this is disposed of and nothing has been made of them.
 */
export class MappedTrees implements Disposable {
  readonly #trees: readonly { readonly path: string; readonly fd: number }[];

  /**
   * @param userNamespace - A descriptor of the namespace.
   * @throws {@link SystemError} `EINVAL` when the file system can not be seen so.
   */
  constructor(paths: readonly string[], userNamespace: number) {
    const trees: { path: string; fd: number }[] = [];
    this.#trees = trees;
    try {
      for (const path of paths) {
        const flags = OPEN_TREE_CLONE | OPEN.closeOnExec;
        const fd = openTree(MOUNT_SYSCALL.openTree, AT_CWD, cString(path), flags);
        trees.push({ path, fd: checkResult(fd, "open_tree", path) });
        const attributes = new BigUint64Array([MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(userNamespace)]);
        const bytes = new Uint8Array(attributes.buffer);
        const { mountSetattr: number } = MOUNT_SYSCALL;
        const set = mountSetattr(number, fd, cString(""), AT_EMPTY_PATH, bytes, bytes.length);
        checkResult(set, "mount_setattr", path);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#trees) closeSync(fd);
  }

  /** Opens a directory in the tree that it lies in. @throws {@link SystemError} */
  open(path: string): number {
    for (const tree of this.#trees) {
      const below = relative(tree.path, path);
      if (below.split("/")[0] === "..") continue;
      const fd = tryOpenBeneath(
        tree.fd,
        cString(below === "" ? "." : below),
        OPEN.path | OPEN.directory,
        RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noXdev,
      );
      if (fd < 0) throw systemError("openat2", path, -fd);
      return fd;
    }
    throw new Error(`${path} lies in no mapped tree`);
  }
}
