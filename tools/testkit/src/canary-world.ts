import { link, lstat, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { diffTrees, snapshotTree } from "./tree-snapshot.ts";

/** A tree that nobody has any business in. */
export interface CanaryWorld {
  readonly path: string;
  /** A file in it, for attacks to aim at. */
  readonly file: string;
  /** A directory in it, with one file. */
  readonly directory: string;
  /** What `file` holds, and nothing else does. */
  readonly secret: string;
  /** What has been done to the tree since it was made; a touch, a link, a mode count. */
  changes(): readonly string[];
}

/** Makes a canary tree beside what is tested. Needs `getfattr`. */
export async function makeCanaryWorld(parent: string): Promise<CanaryWorld> {
  const path = join(parent, "canary");
  const directory = join(path, "directory");
  const file = join(path, "file");
  const secret = `canary ${crypto.randomUUID()}`;
  await mkdir(directory, { recursive: true });
  await mkdir(join(path, "empty"));
  await writeFile(file, secret, { mode: 0o600 });
  await writeFile(join(directory, "file"), "of the directory");
  await link(join(directory, "file"), join(path, "twin"));
  await symlink("file", join(path, "link"));
  await clockPasses(path);
  const before = snapshotTree(path, { touches: true });
  return {
    path,
    file,
    directory,
    secret,
    changes: () => diffTrees(before, snapshotTree(path, { touches: true })),
  };
}

// File systems take their times from a clock of some milliseconds, in which a touch would not show.
async function clockPasses(made: string): Promise<void> {
  const { ctimeNs } = await lstat(made, { bigint: true });
  const probe = `${made}.clock`;
  do await writeFile(probe, "");
  while ((await lstat(probe, { bigint: true })).ctimeNs <= ctimeNs);
  await rm(probe);
}
