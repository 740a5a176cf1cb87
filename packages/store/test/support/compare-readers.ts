/**
 * Holds the unpacker to GNU tar and Python's tarfile, on archives of the grammar.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { createLayerApplier } from "../../src/layer/apply-layer.ts";
import { DEFAULT_LAYER_LIMITS } from "../../src/layer/layer-limits.ts";
import type { TarEntry } from "../../src/layer/tar-entry.ts";
import { createTarReader } from "../../src/layer/tar-reader.ts";
import { removeTree } from "../../src/linux/tree.ts";
import { generateArchive, type GeneratedArchive } from "./archive-grammar.ts";
import { wantedDifference } from "./wanted-differences.ts";

const MEMORY = "/dev/shm";

/** What came of many archives. */
export interface Comparison {
  readonly archives: number;
  /** Both took it, and made the same. */
  readonly alike: number;
  readonly refusedByAll: number;
  /** How often each wanted difference was seen, by its name. */
  readonly wanted: ReadonlyMap<string, number>;
  /** Differences that nobody wants, as text. */
  readonly unwanted: readonly string[];
}

/** What the other readers say of an archive. */
export interface PeerAnswer {
  readonly n: number;
  readonly exit: number;
  readonly said: string;
  readonly members: readonly PeerMember[];
  readonly error: string | null;
  readonly differ?: readonly (readonly [path: string, ours: string, theirs: string])[];
}

export type PeerMember = readonly [
  name: string,
  type: string,
  size: number,
  mode: number,
  uid: number,
  gid: number,
  mtime: number,
  link: string,
];

/** What this reader makes of an archive. */
export interface OwnAnswer {
  readonly refusal: string | undefined;
  readonly entries: readonly TarEntry[];
  readonly implied: readonly string[];
}

/** Compares the archives of `count` seeds, from `seed` on. */
export async function compareReaders(seed: number, count: number): Promise<Comparison> {
  await using folder = openFolder();
  for (const name of ["archives", "ours", "gnu"]) mkdirSync(join(folder.path, name));
  const archives = Array.from({ length: count }, (_, index) => generateArchive(seed + index));
  const own = archives.map((archive, n) => unpackOwn(folder.path, archive, n));
  const peers = await askPeers(folder.path, own);
  const wanted = new Map<string, number>();
  const unwanted: string[] = [];
  let alike = 0;
  let refusedByAll = 0;
  for (const [n, archive] of archives.entries()) {
    const [mine, theirs] = [own[n], peers[n]];
    if (mine === undefined || theirs === undefined)
      throw new Error(`no answer for ${archive.seed}`);
    const differences = [...treeDifferences(mine, theirs), ...memberDifferences(mine, theirs)];
    for (const difference of differences) {
      const name = wantedDifference({ archive, mine, theirs, difference });
      if (name === undefined) unwanted.push(`seed ${archive.seed}: ${difference}`);
      else wanted.set(name, (wanted.get(name) ?? 0) + 1);
    }
    if (differences.length > 0) continue;
    if (mine.refusal === undefined) alike += 1;
    else refusedByAll += 1;
  }
  return { archives: count, alike, refusedByAll, wanted, unwanted };
}

/** In memory where that is possible: the disk takes far longer than those who are compared. */
function openFolder(): AsyncDisposable & { readonly path: string } {
  const parent = existsSync(MEMORY) ? MEMORY : tmpdir();
  const path = mkdtempSync(join(parent, "stowage-archives-"));
  return { path, [Symbol.asyncDispose]: () => removeTree(path) };
}

function unpackOwn(folder: string, { bytes }: GeneratedArchive, n: number): OwnAnswer {
  const directory = join(folder, "ours", String(n));
  writeFileSync(join(folder, "archives", String(n)), bytes);
  mkdirSync(directory);
  const entries: TarEntry[] = [];
  using applier = createLayerApplier(directory, DEFAULT_LAYER_LIMITS);
  const reader = createTarReader(
    {
      begin(entry, body) {
        entries.push(entry);
        applier.begin(entry, body);
      },
      content: (content) => applier.content(content),
      hole: (length) => applier.hole(length),
      end: () => applier.end(),
    },
    DEFAULT_LAYER_LIMITS,
  );
  try {
    reader.push(bytes);
    reader.finish();
    const implied = applier.finish().impliedDirectories.map((path) => path.toString("latin1"));
    return { refusal: undefined, entries, implied };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "StoreError") throw error;
    return { refusal: error.message, entries, implied: [] };
  }
}

async function askPeers(folder: string, own: readonly OwnAnswer[]): Promise<readonly PeerAnswer[]> {
  const script = join(import.meta.dirname, "peer-archives.py");
  const child = spawn("python3", [script, folder], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(
    own
      .map(({ refusal, implied }, n) =>
        JSON.stringify({ n, taken: refusal === undefined, implied }),
      )
      .join("\n"),
  );
  const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
  return output
    .split("\n")
    .filter((line) => line !== "")
    .map((line): PeerAnswer => JSON.parse(line));
}

/** What GNU tar makes of it otherwise. */
function treeDifferences(mine: OwnAnswer, theirs: PeerAnswer): readonly string[] {
  const isRefused = theirs.exit !== 0;
  if (mine.refusal !== undefined) return isRefused ? [] : [`only we refuse: ${mine.refusal}`];
  if (isRefused) return [`only GNU tar refuses: ${theirs.said}`];
  return (theirs.differ ?? []).map((difference) => `tree: ${difference.join(" | ")}`);
}

/** What tarfile reads otherwise. Where we refuse, it may go on, or end without a word. */
function memberDifferences(mine: OwnAnswer, theirs: PeerAnswer): readonly string[] {
  const ours = mine.entries.map(asMember);
  for (const [index, member] of ours.entries()) {
    const other = normal(theirs.members[index]);
    if (mine.refusal !== undefined && other === undefined) return [];
    if (JSON.stringify(other) === JSON.stringify(member)) continue;
    return [
      `member ${index}: ${JSON.stringify(member)} | ${JSON.stringify(other)} ${theirs.error ?? ""}`,
    ];
  }
  const isShorter = ours.length < theirs.members.length;
  if (isShorter && mine.refusal === undefined) {
    return [`member ${ours.length}: none | ${JSON.stringify(theirs.members[ours.length])}`];
  }
  return theirs.error !== null && mine.refusal === undefined ? [`tarfile: ${theirs.error}`] : [];
}

const FLAGS = {
  file: "0",
  "hard-link": "1",
  symlink: "2",
  "character-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
} as const;

/** tarfile drops slashes at the end of any name, and has times before 1970. */
function normal(member: PeerMember | undefined): PeerMember | undefined {
  if (member === undefined) return undefined;
  const [name, type, size, mode, uid, gid, mtime, link] = member;
  return [name.replace(/\/+$/, ""), type, size, mode, uid, gid, Math.max(mtime, 0), link];
}

function asMember(entry: TarEntry): PeerMember {
  const path = entry.path;
  return [
    path.replace(/\/+$/, ""),
    FLAGS[entry.type],
    entry.size,
    entry.mode,
    entry.uid,
    entry.gid,
    Number(entry.mtime / 1_000_000_000n),
    entry.linkPath,
  ];
}
