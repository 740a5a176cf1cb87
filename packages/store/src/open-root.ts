/**
 * Makes the directories of a store, and refuses places where there should be none.
 *
 * @module
 */
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";

import { escapeText, hasErrorCode, type JsonValue } from "@stowage/content";

import { requireFeaturesOnce } from "./file-system-features.ts";
import { publishFile } from "./publish-file.ts";
import { formatRecord, readRecord } from "./record-file.ts";
import { RecordShape } from "./record-shape.ts";
import { type Staging, openStaging } from "./staging.ts";
import { StoreError } from "./store-error.ts";
import { type StoreLayout, storeLayout } from "./store-layout.ts";

const FORMAT_VERSION = 1;
const VERSION_FILE = "version.json";
const PRIVATE_MODE = 0o700;
const PERMISSIONS = 0o777;
const STICKY = 0o1000;
const OCI_LAYOUT = '{"imageLayoutVersion":"1.0.0"}\n';

/**
 * Answers where a store lies, having made it where there is none.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_ROOT`, `ERR_STORE_UNSUPPORTED_VERSION`;
 *   `ERR_STORE_CORRUPT` where the version can not be told.
 */
export async function openRoot(root: string, runRoot: string): Promise<StoreLayout> {
  requirePlace(root, "root");
  requirePlace(runRoot, "run root");
  requireApart(resolve(root), resolve(runRoot));
  requireNoOtherUse(resolve(root));
  requireNoStranger(resolve(runRoot), "run root", RUN_ENTRIES);
  makeDirectory(root);
  makeRunRoot(runRoot);
  const layout = storeLayout(realpathSync(root), realpathSync(runRoot));
  requireApart(layout.root, layout.runRoot);
  await requireVersion(layout);
  const device = makeDirectory(layout.root);
  for (const path of durableDirectories(layout)) {
    if (makeDirectory(path) !== device) throw onAnotherDevice(path, layout.root);
  }
  await requireFeaturesOnce(layout);
  for (const path of [layout.runMounts, layout.runContainers, layout.runLocks]) makeDirectory(path);
  await writeMarkers(layout);
  return layout;
}

function requirePlace(path: string, what: string): void {
  const refuse = (reason: string, hint?: string): never => {
    throw new StoreError(
      "ERR_STORE_INVALID_ROOT",
      `"${escapeText(path)}" can not be the ${what}: ${reason}`,
      { hint },
    );
  };
  if (path === "") refuse("it is empty");
  if (path.includes("\0")) refuse("it has a NUL character");
  if (!isAbsolute(path)) refuse("it is not an absolute path", "Give a path that begins with /.");
  if (resolve(path) === "/") refuse("it is the root of the system", "Give a directory of its own.");
  const stat = lstatSync(resolve(path), { throwIfNoEntry: false });
  if (stat?.isSymbolicLink()) refuse("it is a symbolic link", "Give the directory it points at.");
  if (stat !== undefined && !stat.isDirectory()) refuse("it is not a directory");
}

function requireApart(root: string, runRoot: string): void {
  if (!isInside(root, runRoot) && !isInside(runRoot, root)) return;
  throw new StoreError(
    "ERR_STORE_INVALID_ROOT",
    `root ${escapeText(root)} and run root ${escapeText(runRoot)} must lie apart`,
    { hint: "What is in the run root may vanish with a reboot; what is in the root must not." },
  );
}

function requireNoOtherUse(root: string): void {
  for (let path = dirname(root); path !== "/"; path = dirname(path)) {
    if (!existsSync(join(path, VERSION_FILE)) || !existsSync(join(path, "oci-layout"))) continue;
    throw new StoreError(
      "ERR_STORE_INVALID_ROOT",
      `"${escapeText(root)}" can not be the root: it lies in the store ${escapeText(path)}`,
    );
  }
  if (existsSync(join(root, VERSION_FILE))) return;
  requireNoStranger(root, "root", [...OWN_ENTRIES, "lost+found"]);
}

function requireNoStranger(path: string, what: string, known: readonly string[]): void {
  if (!existsSync(path)) return;
  const stranger = readdirSync(path).find((name) => !known.includes(name));
  if (stranger === undefined) return;
  throw new StoreError(
    "ERR_STORE_INVALID_ROOT",
    `"${escapeText(path)}" can not be the ${what}: it is no store's, and holds ${escapeText(stranger)}`,
    { hint: "Give a directory that is empty, or does not exist." },
  );
}

// The last is where the runtime shim keeps what OCI runtimes remember.
const RUN_ENTRIES = ["mounts", "containers", "locks", "oci"];

const OWN_ENTRIES = [
  VERSION_FILE,
  "oci-layout",
  "index.json",
  "blobs",
  "ingest",
  "layers",
  "images",
  "names",
  "containers",
  "leases",
  "marks",
  "staging",
  "trash",
  "locks",
];

function durableDirectories(layout: StoreLayout): readonly string[] {
  return [
    layout.locks,
    layout.staging,
    layout.trash,
    layout.leases,
    layout.marks,
    join(layout.blobs, "sha256"),
    join(layout.blobs, "sha512"),
    layout.ingest,
    layout.layers,
    layout.images,
    layout.names,
    layout.containers,
  ];
}

async function requireVersion(layout: StoreLayout): Promise<void> {
  const version = await readVersion(layout);
  if (version === undefined || version <= FORMAT_VERSION) return;
  throw new StoreError(
    "ERR_STORE_UNSUPPORTED_VERSION",
    `${layout.root} has format version ${version}, and this program knows ${FORMAT_VERSION}`,
    { hint: "Use a newer version of this program." },
  );
}

function isBlank(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.size > MAX_BLANK_BYTES) return false;
  return readFileSync(path).every((byte) => byte === 0);
}

const MAX_BLANK_BYTES = 4096;

/** Nothing, or zeros, is what a crash may leave, and is written anew; anything else may be a later version's. */
async function readVersion({ root }: StoreLayout): Promise<number | undefined> {
  const path = join(root, VERSION_FILE);
  try {
    return await readRecord(path, parseVersion);
  } catch (error) {
    if (!hasErrorCode(error, "ERR_STORE_CORRUPT")) throw error;
    if (isBlank(path)) return undefined;
    throw new StoreError(
      "ERR_STORE_CORRUPT",
      `${escapeText(path)} is damaged, and so it is not known which version has made the store`,
      {
        cause: error,
        hint: "If it was this one, remove that file alone: it is written anew. If it was a later one, use that.",
      },
    );
  }
}

function parseVersion(value: JsonValue): number {
  const keys = typeof value === "object" && value !== null ? Object.keys(value) : [];
  return new RecordShape(value, "version", keys).count("version");
}

async function writeMarkers(layout: StoreLayout): Promise<void> {
  const isComplete =
    existsSync(join(layout.root, "oci-layout")) && (await readVersion(layout)) !== undefined;
  if (isComplete) return;
  await using staging: Staging = openStaging(layout.staging);
  const stagingDir = staging.path;
  await publishFile({ path: join(layout.root, "oci-layout"), bytes: OCI_LAYOUT, stagingDir });
  await publishFile({
    path: join(layout.root, VERSION_FILE),
    bytes: formatRecord({ version: FORMAT_VERSION }),
    stagingDir,
  });
}

/** What is renamed from one to another has to arrive in one step. */
function onAnotherDevice(path: string, root: string): StoreError {
  return new StoreError(
    "ERR_STORE_INVALID_ROOT",
    `"${escapeText(root)}" can not be the root: ${escapeText(path)} is on another file system`,
    { hint: "Mount the file system on the root itself." },
  );
}

/** A store that can only be read has to be told where it can write, what is mounted at the least. */
function makeRunRoot(path: string): void {
  try {
    makeDirectory(path);
  } catch (error) {
    if (!hasErrorCode(error, "EROFS", "EACCES", "EPERM")) throw error;
    const reason = error instanceof Error ? error.message : "";
    const message = `the run root ${escapeText(path)} can not be made: ${escapeText(reason)}`;
    throw new StoreError("ERR_STORE_READ_ONLY", message, {
      cause: error,
      hint: "Give a run root that this user may write to; only the root itself may be read-only.",
    });
  }
}

/**
 * Makes a directory that is ours alone, and closes one that others may enter.
 *
 * @returns The number of its file system.
 */
function makeDirectory(path: string): number {
  makeWithParents(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { dev, mode, uid } = fstatSync(fd);
    if (uid !== process.geteuid?.()) {
      throw new StoreError(
        "ERR_STORE_INVALID_ROOT",
        `${escapeText(path)} belongs to user ${uid}, who could change what is stored`,
        { hint: "Give a directory that belongs to the user who runs this." },
      );
    }
    if ((mode & STICKY) !== 0) {
      throw new StoreError(
        "ERR_STORE_INVALID_ROOT",
        `${escapeText(path)} is a place where everybody may put files`,
        { hint: "Give a directory of its own below it." },
      );
    }
    // The files of images in it may be set-user-ID, and are open to whoever can reach them.
    if ((mode & PERMISSIONS) !== PRIVATE_MODE) fchmodSync(fd, PRIVATE_MODE);
    return dev;
  } finally {
    closeSync(fd);
  }
}

/** To make it recursively, Node says ENOENT where the file system is mounted read-only. */
function makeWithParents(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    if (!hasErrorCode(error, "ENOENT")) throw error;
    makeWithParents(dirname(path));
    makeOne(path);
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: PRIVATE_MODE });
  } catch (error) {
    if (!hasErrorCode(error, "EEXIST")) throw error;
  }
}

function isInside(path: string, directory: string): boolean {
  const steps = relative(directory, path);
  return steps === "" || (!steps.startsWith("..") && !isAbsolute(steps));
}
