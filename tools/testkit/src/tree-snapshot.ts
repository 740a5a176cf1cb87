import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

import { requirePeer } from "./peers.ts";

/** All that can be told about one path of a tree. */
export interface TreeEntry {
  /** From the root, which is the empty string; one character for each byte. */
  readonly path: string;
  readonly type: "block" | "char" | "directory" | "fifo" | "file" | "socket" | "symlink";
  /** The permission bits, with set-user-ID, set-group-ID and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Bytes of a file; a directory's are its file system's own affair. */
  readonly size?: number;
  readonly sha256?: string;
  readonly linkTarget?: string;
  readonly device?: { readonly major: number; readonly minor: number };
  /** The first path of the same inode, where there are several in the tree. */
  readonly hardLinkGroup?: string;
  /** Extended attributes by name, in hexadecimal digits. */
  readonly xattrs: Readonly<Record<string, string>>;
  /** Inode, count of links and time of the last change to it, if they were asked for. */
  readonly touches?: string;
}

export interface SnapshotOptions {
  /** Whether to take note of what changes with any touch. @defaultValue false */
  readonly touches?: boolean;
  /** Attributes whose names begin with one of these are left out. */
  readonly withoutXattrs?: readonly string[];
}

/** Reads a tree without changing it, sorted by the bytes of its paths. Needs `getfattr`. */
export function snapshotTree(root: string, options: SnapshotOptions = {}): readonly TreeEntry[] {
  const xattrs = readXattrs(root, options.withoutXattrs ?? []);
  const paths: { readonly path: string; readonly stat: BigIntStats }[] = [];
  const groups = new Map<string, { readonly first: string; count: number }>();
  const visit = (path: string): void => {
    const stat = lstatSync(absolute(root, path), { bigint: true });
    paths.push({ path, stat });
    const group = groups.get(inodeOf(stat)) ?? { first: path, count: 0 };
    group.count += 1;
    groups.set(inodeOf(stat), group);
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(absolute(root, path), { encoding: "buffer" })) {
      visit(`${path}${path === "" ? "" : "/"}${name.toString("latin1")}`);
    }
  };
  visit("");
  return paths
    .toSorted((a, b) => compareText(a.path, b.path))
    .map(({ path, stat }): TreeEntry => {
      const group = groups.get(inodeOf(stat));
      return {
        ...describe(root, path, stat),
        ...(group && group.count > 1 && { hardLinkGroup: group.first }),
        xattrs: xattrs.get(path) ?? {},
        ...(options.touches && { touches: `${stat.ino} ${stat.nlink} ${stat.ctimeNs}` }),
      };
    });
}

/** What differs between two trees, a line for each difference; none if they are equal. */
export function diffTrees(
  before: readonly TreeEntry[],
  after: readonly TreeEntry[],
): readonly string[] {
  const left = new Map(before.map((entry) => [entry.path, entry]));
  const right = new Map(after.map((entry) => [entry.path, entry]));
  const paths = [...new Set([...left.keys(), ...right.keys()])].toSorted(compareText);
  return paths.flatMap((path) => {
    const [one, other] = [left.get(path), right.get(path)];
    const shown = JSON.stringify(path);
    if (one === undefined) return [`${shown}: only in the second`];
    if (other === undefined) return [`${shown}: only in the first`];
    return Object.keys({ ...one, ...other }).flatMap((field) => {
      const [was, is] = [formatField(one, field), formatField(other, field)];
      return was === is ? [] : [`${shown}: ${field} ${was} ≠ ${is}`];
    });
  });
}

function describe(root: string, path: string, stat: BigIntStats): Omit<TreeEntry, "xattrs"> {
  const type = typeOf(stat);
  const isDevice = type === "block" || type === "char";
  return {
    path,
    type,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: stat.mtimeNs,
    ...(type === "file" && {
      size: Number(stat.size),
      sha256: hash("sha256", readFileSync(absolute(root, path))),
    }),
    ...(type === "symlink" && { linkTarget: readlinkSync(absolute(root, path), "latin1") }),
    ...(isDevice && { device: splitDevice(stat.rdev) }),
  };
}

function typeOf(stat: BigIntStats): TreeEntry["type"] {
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isBlockDevice()) return "block";
  if (stat.isCharacterDevice()) return "char";
  if (stat.isFIFO()) return "fifo";
  return stat.isSocket() ? "socket" : "file";
}

// How Linux packs a device number into 64 bits.
function splitDevice(packed: bigint): { major: number; minor: number } {
  return {
    major: Number(((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xfffff000n)),
    minor: Number((packed & 0xffn) | ((packed >> 12n) & 0xffffff00n)),
  };
}

// One process for a whole tree: it prints a paragraph for each path that has attributes.
function readXattrs(
  root: string,
  without: readonly string[],
): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const words = ["--recursive", "--physical", "--no-dereference", "--dump", "--match=-"];
  const text = execFileSync(
    requirePeer("getfattr"),
    [...words, "--encoding=hex", "--absolute-names", "--", root],
    { encoding: "latin1", maxBuffer: 1 << 30, env: { ...process.env, LC_ALL: "C" } },
  );
  const prefix = Buffer.from(root).toString("latin1");
  const found = new Map<string, Readonly<Record<string, string>>>();
  for (const paragraph of text.split("\n\n")) {
    const [head = "", ...lines] = paragraph.split("\n").filter((line) => line !== "");
    if (!head.startsWith("# file: ")) continue;
    const path = unquote(head.slice("# file: ".length)).slice(prefix.length).replace(/^\//, "");
    const pairs = lines.map((line): [string, string] => {
      const equals = line.indexOf("=");
      return equals < 0
        ? [unquote(line), ""]
        : [unquote(line.slice(0, equals)), line.slice(equals + 1).replace(/^0x/, "")];
    });
    const kept = pairs.filter(([name]) => !without.some((start) => name.startsWith(start)));
    found.set(path, Object.fromEntries(kept.toSorted(([a], [b]) => compareText(a, b))));
  }
  return found;
}

function unquote(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function absolute(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
}

function inodeOf(stat: BigIntStats): string {
  return `${stat.dev} ${stat.ino}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function formatField(entry: TreeEntry, field: string): string {
  const value = new Map<string, unknown>(Object.entries(entry)).get(field);
  if (field === "mode" && typeof value === "number") return value.toString(8);
  return typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? "none");
}
