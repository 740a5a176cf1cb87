/**
 * Archives made by a grammar from a seed: mostly what writers of archives write, with some of what
 * none does.
 *
 * @module
 */
import { ENTRY_BYTES, paxBody, rawEntry, type RawEntry } from "./raw-tar.ts";

/** An archive, and what is in it that readers may differ about. */
export interface GeneratedArchive {
  readonly seed: number;
  readonly bytes: Buffer;
  readonly entries: readonly GeneratedEntry[];
  /** Whether bytes were changed after it was made. */
  readonly isDamaged: boolean;
}

/** An entry, with the names that hold for it in the end. */
export interface GeneratedEntry {
  readonly type: string;
  readonly path: string;
  readonly link: string;
  readonly raw: RawEntry;
}

type Record = readonly [key: string, value: string];

const ODD_RECORDS: readonly [Record, ...Record[]] = [
  ["mtime", "-3.5"],
  ["size", "1"],
  ["path", "other"],
  ["uid", "7"],
  ["comment", ""],
  ["atime", "9"],
];

/** Numbers that follow from a seed. */
export interface Random {
  /** A whole number from 0 up to but not `limit`. */
  below(limit: number): number;
  chance(share: number): boolean;
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
}

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (share) => next() < share,
    pick: ([first, ...rest]) => {
      const items = [first, ...rest];
      return items[below(items.length)] ?? first;
    },
  };
}

/** Makes the archive of a seed. */
export function generateArchive(seed: number): GeneratedArchive {
  const random = randomFrom(seed);
  const entries: GeneratedEntry[] = [];
  const isWild = random.chance(0.3);
  const count = 1 + random.below(9);
  for (let index = 0; index < count; index += 1) entries.push(makeEntry(random, entries, isWild));
  const parts = entries.map(({ raw }) => {
    const withGlobal = random.chance(0.04);
    const global = rawEntry({ name: "g", type: "g", body: paxBody([["comment", "0123"]]) });
    return Buffer.concat([...(withGlobal ? [global] : []), rawEntry(raw)]);
  });
  let bytes = Buffer.concat([
    ...parts,
    Buffer.alloc(ENTRY_BYTES * random.pick([2, 2, 2, 0, 1, 20])),
  ]);
  const isDamaged = isWild && random.chance(0.3);
  if (isDamaged) bytes = damaged(random, bytes);
  return { seed, bytes, entries, isDamaged };
}

function makeEntry(
  random: Random,
  before: readonly GeneratedEntry[],
  isWild: boolean,
): GeneratedEntry {
  const picked = random.pick([
    ...(["0", "0", "0", "0", "5", "5", "5", "2", "2", "1", "6", "3", "4", "7", "\0"] as const),
    ...(isWild ? (["A", "V", "0", "1", "2"] as const) : []),
  ]);
  const known = before.filter((entry) => !"1345".includes(entry.type)).map((entry) => entry.path);
  // Most of the time there is something to link to.
  const type = picked === "1" && known.length === 0 && !isWild ? "0" : picked;
  const path = makePath(random, before, isWild);
  const link =
    type === "1" && !(isWild && random.chance(0.4)) && known.length > 0
      ? random.pick(known as [string, ...string[]])
      : makeTarget(random, isWild);
  const isLink = type === "1" || type === "2";
  const target = before.findLast((entry) => entry.path === link)?.raw;
  const owner = random.pick([0, 0, 1000, 65_536]);
  const base: RawEntry = {
    type,
    mode: random.pick([0o644, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0]),
    uid: owner,
    gid: random.pick([0, 1000]),
    mtime: random.pick([0, 1, 1_000_000_000, 1_234_567_890]),
    ...(type === "3" && { major: 1, minor: random.pick([3, 5, ...(isWild ? [0] : [])]) }),
    ...(type === "4" && { major: 7, minor: random.below(300) }),
    // A hard link's entry says of the file what the file's own says, unless it is a wild one.
    ...(type === "1" && target && !isWild && sharedOf(target)),
    ...("07\0".includes(type) && { body: makeBody(random) }),
    ...(isLink && isWild && random.chance(0.1) && { size: 512 * random.below(3), body: "" }),
  };
  return {
    type,
    path,
    link: isLink ? link : "",
    raw: withNames(random, base, path, isLink ? link : "", isWild),
  };
}

function sharedOf({ mode, uid, gid, mtime, pax }: RawEntry): RawEntry {
  const shared = (pax ?? []).filter(([key]) => key === "mtime" || key.startsWith("SCHILY"));
  return {
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mtime !== undefined && { mtime }),
    ...(shared.length > 0 && { pax: shared }),
  };
}

/** Writes the names into the header, or into one of the kinds of header that may go before. */
function withNames(
  random: Random,
  base: RawEntry,
  path: string,
  link: string,
  isWild: boolean,
): RawEntry {
  const name = base.type === "5" && random.chance(0.7) ? `${path}/` : path;
  const records: (readonly [string, string])[] = [...((base.pax ?? []) as [string, string][])];
  const has = (key: string): boolean => records.some(([known]) => known === key);
  const style =
    name.length > 99 || link.length > 99
      ? random.pick(["pax", "gnu"])
      : random.pick(["plain", "plain", "pax", "gnu", "prefix", "old"]);
  if (style === "pax" || random.chance(0.1)) {
    if (!has("mtime") && base.type !== "1" && random.chance(0.5)) {
      records.push(["mtime", random.pick(["5.25", "1000000000.123456789", "7"])]);
    }
    if ("05".includes(base.type ?? "") && random.chance(0.3)) {
      records.push(["SCHILY.xattr.user.note", random.pick(["x", "a=b", "two\nlines"])]);
    }
    if (isWild && random.chance(0.2)) {
      records.push(random.pick(ODD_RECORDS));
    }
  }
  const body = Buffer.from(base.body ?? "");
  const isBinary = random.chance(0.1);
  const rest: RawEntry = {
    ...base,
    ...(isBinary && base.size === undefined && { size: binary(body.length, 12) }),
  };
  const pax = records.length > 0 ? { pax: records } : {};
  switch (style) {
    case "pax":
      return {
        ...rest,
        name: "short",
        pax: [
          ["path", name],
          ...(link === "" ? [] : [["linkpath", link] as const]),
          ...records.filter(([key]) => key !== "path"),
        ],
      };
    case "gnu":
      return {
        ...rest,
        ...pax,
        magic: "ustar  \0",
        name: name.slice(0, 99),
        link: link.slice(0, 99),
        before: [
          rawEntry({ name: "././@LongLink", type: "L", body: `${name}\0` }),
          ...(link === ""
            ? []
            : [rawEntry({ name: "././@LongLink", type: "K", body: `${link}\0` })]),
        ],
      };
    case "prefix": {
      const slash = path.indexOf("/");
      const isSplit = slash > 0 && slash < path.length - 1;
      return isSplit
        ? { ...rest, ...pax, prefix: path.slice(0, slash), name: name.slice(slash + 1), link }
        : { ...rest, ...pax, name, link };
    }
    case "old":
      return "012\0".includes(rest.type ?? "") && records.length === 0
        ? { ...rest, magic: "\0".repeat(8), name, link }
        : { ...rest, ...pax, name, link };
    default:
      return { ...rest, ...pax, name, link };
  }
}

function makePath(random: Random, before: readonly GeneratedEntry[], isWild: boolean): string {
  if (before.length > 0 && random.chance(0.15)) {
    const { path = "a", type = "5" } = before[random.below(before.length)] ?? {};
    if (!isWild && type !== "5") return `${path}${makeName(random)}`;
    return random.chance(0.5) ? path : `${path}/${makeName(random)}`;
  }
  const names = Array.from({ length: 1 + random.below(3) }, () => makeName(random));
  if (isWild && random.chance(0.3)) {
    names.splice(random.below(names.length + 1), 0, random.pick(["..", ".", "", ".", ""]));
  }
  return names.join("/");
}

function makeName(random: Random): string {
  if (random.chance(0.04)) return "l".repeat(40 + random.below(200));
  return random.pick(["a", "b", "c", "d", "e", "f g", "A", "x\ny", "\u00e9", "-n", "back\\slash"]);
}

function makeTarget(random: Random, isWild: boolean): string {
  const plain = random.pick(["a", "b", "c", "a/b", "b/c", "nowhere", "./a"]);
  return isWild
    ? random.pick([plain, `/${plain}`, `../${plain}`, "..", "/", ".", `${plain}/../b`])
    : plain;
}

function makeBody(random: Random): string {
  return "x".repeat(random.pick([0, 1, 100, 511, 512, 513, 1500]));
}

function binary(value: number, length: number): Buffer {
  const field = Buffer.alloc(length);
  field.writeUIntBE(value, length - 6, 6);
  field[0] = 0x80;
  return field;
}

function damaged(random: Random, bytes: Buffer): Buffer<ArrayBuffer> {
  const copy = Buffer.from(bytes);
  if (random.chance(0.4)) return copy.subarray(0, random.below(copy.length));
  for (let left = 1 + random.below(3); left > 0; left -= 1)
    copy[random.below(copy.length)] = random.below(256);
  return copy;
}
