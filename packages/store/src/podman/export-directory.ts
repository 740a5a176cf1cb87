/**
 * The directory of an export: an additional image store of containers/storage.
 *
 * @module
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";

import { escapeText, hasErrorCode, type JsonValue, parseJsonDocument } from "@stowage/content";

import { removeTree } from "../linux/tree.ts";
import { randomName, syncDirectory } from "../publish-file.ts";
import { formatRecord } from "../record-file.ts";
import { RecordShape } from "../record-shape.ts";
import { StoreError } from "../store-error.ts";
import type { StoreLayout } from "../store-layout.ts";

/** Where the parts of an export lie. */
export interface ExportDirectory {
  readonly path: string;
  readonly layers: string;
  readonly images: string;
  /** For files on their way; emptied by whoever holds the lock `exports`. */
  readonly staging: string;
}

const MARKER = "stowage.json";
const OVERLAY = "overlay";
const PARTS = ["overlay-layers", "overlay-images", "tmp"] as const;
const PERMISSIONS_OF_OTHERS = 0o022;
/** What would end a path, or begin another, in the options of podman and of the kernel. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNUSABLE = /[\u0000-\u001f\u007f,:"\\]/;

/**
 * Where an export to a directory would lie, with symbolic links before its name resolved.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_EXPORT`
 */
export function exportPath(layout: StoreLayout, directory: string): string {
  if (directory === "" || !isAbsolute(directory))
    throw refused(directory, "it is no absolute path");
  if (UNUSABLE.test(directory)) {
    throw refused(directory, "podman can not take a path with such a character");
  }
  const plain = resolve(directory);
  const parent = dirname(plain);
  if (parent === plain) throw refused(directory, "it is the root of the system");
  if (!lstatSync(parent, { throwIfNoEntry: false })) {
    throw refused(directory, `${escapeText(parent)} does not exist`);
  }
  const path = join(realpathSync(parent), basename(plain));
  if (UNUSABLE.test(path)) throw refused(directory, `it is ${escapeText(path)}`);
  for (const own of [layout.root, layout.runRoot]) {
    if (isInside(path, own)) throw refused(directory, `it lies in the store, ${escapeText(own)}`);
    if (isInside(own, path)) throw refused(directory, `the store ${escapeText(own)} lies in it`);
  }
  return path;
}

/**
 * Makes the directory of an export, or opens one that this store made. To be called under the lock
 * `exports`.
 *
 * @param path - From {@link exportPath}.
 * @throws {@link StoreError} `ERR_STORE_INVALID_EXPORT` for what is no such directory.
 */
export async function openExport(layout: StoreLayout, path: string): Promise<ExportDirectory> {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) mkdirSync(path, { mode: 0o700 });
  const owner = requireDirectory(path);
  if (owner !== undefined && owner !== layout.root) {
    throw refused(path, `it is an export of the store ${escapeText(owner)}`);
  }
  if (owner === undefined) claim(layout, path);
  for (const name of PARTS) makePart(path, name);
  const overlay = join(path, OVERLAY);
  const found = lstatSync(overlay, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSymbolicLink()) {
    throw refused(path, `its ${OVERLAY} is no symbolic link to the store's layers`);
  }
  if (found === undefined || readlinkSync(overlay) !== layout.layers) {
    const temporary = join(path, "tmp", randomName());
    symlinkSync(layout.layers, temporary);
    await rename(temporary, overlay);
  }
  await syncDirectory(path);
  await syncDirectory(dirname(path));
  const open = partsOf(path);
  for (const left of readdirSync(open.staging)) await removeTree(join(open.staging, left));
  return open;
}

/**
 * Opens an export of this store, if it is there.
 *
 * @throws {@link StoreError} `ERR_STORE_INVALID_EXPORT` for anything else.
 */
export function findExport(layout: StoreLayout, path: string): ExportDirectory | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  const owner = requireDirectory(path);
  if (owner === undefined && readdirSync(path).length > 0) throw notOurs(path);
  if (owner === undefined || owner === layout.root) return partsOf(path);
  throw refused(path, `it is an export of the store ${escapeText(owner)}`);
}

/**
 * Whether something else has come to lie where an export of this store was: it was removed by hand,
 * or was about to be removed when its remover died, and others put theirs there.
 */
export function isReplaced(layout: StoreLayout, path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return stat !== undefined;
  const owner = readMarker(path);
  return owner === undefined ? readdirSync(path).length > 0 : owner !== layout.root;
}

/** Removes an export and, where nothing else is in it, its directory. */
export async function removeExport({ path }: ExportDirectory): Promise<void> {
  for (const name of PARTS) await removeTree(join(path, name));
  await rm(join(path, OVERLAY), { force: true });
  await rm(join(path, MARKER), { force: true });
  try {
    await rmdir(path);
  } catch (error) {
    // What others put there is theirs.
    if (!hasErrorCode(error, "ENOENT", "ENOTEMPTY", "EBUSY")) throw error;
  }
}

function partsOf(path: string): ExportDirectory {
  const [layers, images, staging] = PARTS;
  return {
    path,
    layers: join(path, layers),
    images: join(path, images),
    staging: join(path, staging),
  };
}

/** Answers which store's export it is, if it is one. */
function requireDirectory(path: string): string | undefined {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) {
    throw refused(path, "it is a symbolic link", "Give the directory that it points at.");
  }
  if (!stat.isDirectory()) throw refused(path, "it is not a directory");
  if (stat.uid !== process.geteuid?.()) throw refused(path, "it belongs to another user");
  if ((stat.mode & PERMISSIONS_OF_OTHERS) !== 0) throw refused(path, "others may write to it");
  return readMarker(path);
}

function claim(layout: StoreLayout, path: string): void {
  if (readdirSync(path).length > 0) throw notOurs(path);
  writeFileSync(join(path, MARKER), formatRecord({ version: 1, root: layout.root }), {
    flag: "wx",
    mode: 0o600,
    flush: true,
  });
}

function readMarker(path: string): string | undefined {
  const marker = join(path, MARKER);
  const stat = lstatSync(marker, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile()) throw notOurs(path);
  if (stat.size === 0 && readdirSync(path).length === 1) {
    // Whoever began was cut off between making it and writing it.
    rmSync(marker);
    return undefined;
  }
  try {
    return parseMarker(parseJsonDocument(readFileSync(marker)));
  } catch (error) {
    throw refused(path, `its ${MARKER} can not be read`, "Remove the directory.", error);
  }
}

function parseMarker(value: JsonValue): string {
  const shape = new RecordShape(value, "export", ["version", "root"]);
  shape.version(1);
  return shape.string("root");
}

function makePart(path: string, name: string): void {
  const part = join(path, name);
  if (lstatSync(part, { throwIfNoEntry: false }) === undefined) mkdirSync(part, { mode: 0o700 });
  if (!lstatSync(part).isDirectory()) throw refused(path, `its ${name} is not a directory`);
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === "" || !(way === ".." || way.startsWith("../"));
}

function notOurs(path: string): StoreError {
  const hint = "Give a directory that is empty, or does not exist.";
  return refused(path, "it holds something else", hint);
}

function refused(path: string, reason: string, hint?: string, cause?: unknown): StoreError {
  const message = `"${escapeText(path)}" can not be an export: ${reason}`;
  return new StoreError("ERR_STORE_INVALID_EXPORT", message, { hint, cause });
}
