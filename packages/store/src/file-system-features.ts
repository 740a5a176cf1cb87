/**
 * What a store needs of the file system that it lies on, tried out there.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { makeOpaque, tryMakeWhiteout } from "./layer/entry-metadata.ts";
import { renameNoReplace } from "./linux/file-calls.ts";
import { systemError } from "./linux/libc.ts";
import { isReadOnly } from "./read-only.ts";
import { tryRemoveFile } from "./remove-file.ts";
import { openStaging, type Staging } from "./staging.ts";
import { StoreError } from "./store-error.ts";
import type { StoreLayout } from "./store-layout.ts";

interface Feature {
  readonly name: string;
  /** @param path - Of an empty directory, which is open as `fd`. */
  tryOut(path: string, fd: number): void;
}

const FEATURES: readonly Feature[] = [
  {
    name: "extended attributes of overlayfs",
    tryOut: (path, fd) => makeOpaque({ fd, path }),
  },
  {
    name: "whiteouts, as layers have them for what they hide",
    tryOut(_, fd) {
      const made = tryMakeWhiteout(fd, "whiteout");
      if (made < 0) throw systemError("mknodat", undefined, -made);
    },
  },
  {
    name: "renaming without replacing",
    tryOut(path) {
      mkdirSync(join(path, "one"));
      renameNoReplace(join(path, "one"), join(path, "other"));
    },
  },
  {
    name: "links",
    tryOut(path) {
      writeFileSync(join(path, "file"), "");
      linkSync(join(path, "file"), join(path, "hard"));
      symlinkSync("file", join(path, "soft"));
    },
  },
];
/** In the run root, while nothing could be tried out because the root was mounted read-only. */
const UNTRIED = "untried";
const LACKING = ["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM"];
const FULL = ["EDQUOT", "ENOSPC"];

/** As {@link requireFeatures}, once a boot: the locks of the run root go with that. */
export async function requireFeaturesOnce(layout: StoreLayout): Promise<void> {
  const untried = join(layout.runLocks, UNTRIED);
  const isFirst = !existsSync(layout.runLocks);
  if (isReadOnly(layout.root)) {
    if (!isFirst) return;
    mkdirSync(layout.runLocks, { mode: 0o700 });
    writeFileSync(untried, "");
    return;
  }
  if (!isFirst && !existsSync(untried)) return;
  await requireFeatures(layout);
  tryRemoveFile(untried);
}

/**
 * Refuses a file system on which layers could not be what they are. On one that is full nothing can be
 * tried out, and nothing has to be: there is a store on it.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ROOT`
 */
async function requireFeatures(layout: StoreLayout): Promise<void> {
  try {
    await using staging: Staging = openStaging(layout.staging);
    const fd = openSync(staging.path, "r");
    try {
      for (const { name, tryOut } of FEATURES) {
        requireFeature(layout, name, () => tryOut(staging.path, fd));
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!hasErrorCode(error, ...FULL, "ERR_STORE_NO_SPACE")) throw error;
  }
}

function requireFeature({ root }: StoreLayout, name: string, tryOut: () => void): void {
  try {
    tryOut();
  } catch (cause) {
    const reason = cause instanceof StoreError ? cause.cause : cause;
    if (!hasErrorCode(reason, ...LACKING)) throw cause;
    throw new StoreError(
      "ERR_STORE_INVALID_ROOT",
      `"${escapeText(root)}" can not be the root: its file system lacks ${name}`,
      { cause, hint: "Give a directory on ext4, xfs, btrfs or tmpfs; in a container, a volume." },
    );
  }
}
