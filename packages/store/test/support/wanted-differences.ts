import type { GeneratedArchive, GeneratedEntry } from "./archive-grammar.ts";
import type { OwnAnswer, PeerAnswer } from "./compare-readers.ts";

/** One difference between readers, with all that is known about the archive. */
export interface Case {
  readonly archive: GeneratedArchive;
  readonly mine: OwnAnswer;
  readonly theirs: PeerAnswer;
  readonly difference: string;
}

const BLOCK_BYTES = 512;

interface WantedDifference {
  /** What is different, and why it has to be. */
  readonly name: string;
  matches(one: Case): boolean;
}

/** We refuse what GNU tar takes, and our message says so. */
const onlyWe = (name: string, refusal: RegExp): WantedDifference => ({
  name,
  matches: ({ difference }) =>
    difference.startsWith("only we refuse: ") && refusal.test(difference),
});

/** GNU tar gives up, says why, and the archive is one of those. */
const onlyGnu = (
  name: string,
  said: RegExp,
  isOne: (archive: GeneratedArchive) => boolean = () => true,
): WantedDifference => ({
  name,
  matches: ({ difference, archive }) =>
    difference.startsWith("only GNU tar refuses: ") && said.test(difference) && isOne(archive),
});

const inTree = (name: string, isOne: (archive: GeneratedArchive) => boolean): WantedDifference => ({
  name,
  matches: ({ difference, archive }) => difference.startsWith("tree: ") && isOne(archive),
});

const WANTED: readonly WantedDifference[] = [
  onlyWe("an unknown type: GNU tar makes a file of it, and layers have none such", /: unknown$/),
  onlyWe(
    "an archive that is cut: GNU tar does not miss padding",
    /ends in the middle|wants an entry/,
  ),
  onlyWe("a hard link to what is no file of the layer: V47", /a hard link to/),
  onlyWe("a device that overlayfs takes for a whiteout: V52", /takes for a whiteout/),
  onlyWe("an entry behind a lone block of zeros: GNU tar ends there without a word", /lone block/),
  onlyWe("a header that says two things of an entry: V49", /two |given twice/),
  onlyWe("a number that is none or has no meaning: T19, T30", /out of range|is blank|not a number/),
  {
    name: "a checksum with something behind its end: no number, T30",
    matches: ({ difference, archive }) =>
      difference.startsWith("only we refuse: not an archive header") && hasMoreInChecksum(archive),
  },
  onlyWe("an extended header that is malformed: T27", /extended header: /),
  onlyWe("a link in a circle, or to itself: T05", /too many symbolic links|ELOOP/),
  onlyWe("a path that leaves the root: GNU tar goes on without the entry, T01", /leaves the layer/),
  onlyWe("the root as something else than a directory: V43", /the root is no directory/),
  {
    name: "a file whose name ends in a slash: the type decides, T35, and nothing lies in a file",
    matches: ({ difference, archive }) =>
      /^only we refuse: .*: ENOTDIR: /s.test(difference) && hasFileWithSlash(archive),
  },
  onlyGnu(
    "`..` in a name: taken by its text, which GNU tar will not",
    /Member name contains '\.\.'/,
  ),
  onlyGnu(
    "a full directory that a file replaces: GNU tar does so only when told",
    /Is a directory|Directory not empty|File exists|Cannot unlink/,
    hasNameTwice,
  ),
  onlyGnu(
    "a name by way of a link: made inside the root, where GNU tar has not made the link yet",
    /No such file or directory|Not a directory|File exists|Is a directory|Cannot unlink|Too many levels|Operation not permitted/,
    goesByLink,
  ),
  onlyGnu(
    "a name that ends in a dot: means the directory",
    /Invalid argument|File exists|Is a directory|Not a directory|No such file or directory/,
    hasDotAtEnd,
  ),
  onlyGnu(
    "a file whose name ends in a slash: the type decides, T35",
    /Skipping to next header|File exists|Is a directory|Not a directory|Operation not permitted|Cannot hard link/,
    hasFileWithSlash,
  ),
  onlyGnu(
    "a size on an entry without content: skipped where a body is there, T34",
    /Skipping to next header/,
    hasSizeWithoutContent,
  ),
  onlyGnu(
    "a hard link to a link out of the tree: GNU tar makes both at the end, when it may be another",
    /Cannot hard link to/,
    linksToLinkOut,
  ),
  onlyGnu(
    "what replaces a directory by another spelling: GNU tar comes back for one that is no more",
    /Directory renamed before its status could be extracted/,
    replacesDirectory,
  ),
  {
    name: "the padding behind the last content is missing: umoci insert leaves it out, and Go takes it",
    matches: ({ difference, archive }) =>
      archive.bytes.length % BLOCK_BYTES !== 0 &&
      (/^only GNU tar refuses: [^]*Unexpected EOF/.test(difference) ||
        /^tarfile: ReadError\('(?:unexpected end of data|empty header)'\)$/.test(difference)),
  },
  {
    name: "an archive of no bytes: an empty layer, T48",
    matches: ({ archive }) => archive.bytes.length === 0,
  },
  {
    name: "a time that is no number: what it begins with counts, T21, as GNU tar has it",
    matches: ({ difference, archive }) => {
      const [, ours, theirs] = /^member \d+: (\[.*\]) \| (\[.*\]) /s.exec(difference) ?? [];
      const untimed = (member: string): string =>
        JSON.stringify(JSON.parse(member).toSpliced(6, 1));
      return (
        ours !== undefined &&
        theirs !== undefined &&
        untimed(ours) === untimed(theirs) &&
        /mtime=[0-9]+(?:\.[0-9]*)?[^0-9.\n]/.test(archive.bytes.toString("latin1"))
      );
    },
  },
  inTree("a hard link's entry describes the file that it shares", describesByLink),
  inTree(
    "a name by way of a link: inside the root, not where GNU tar's placeholder was",
    goesByLink,
  ),
  inTree(
    "a link out of the tree that replaces another: GNU tar puts its placeholder off",
    replacesLink,
  ),
  {
    name: "the time of a directory with a link out of the tree, for which GNU tar comes back",
    matches: ({ difference, archive }) =>
      /^tree: .* \| \[(.*), [0-9]+\] \| \[\1, [0-9]+\]$/s.test(difference) && hasLinkOut(archive),
  },
  {
    name: "a directory that a link out of the tree has by another spelling: GNU tar describes it by both",
    matches: ({ difference, archive }) =>
      archive.entries.some(
        (entry) =>
          difference.startsWith(`tree: ${bytesOf(clean(entry.path))} | [16384, `) &&
          hasLinkOutBySpelling(archive, entry),
      ),
  },
  inTree(
    "what replaces an empty directory keeps its own description, where GNU tar ends with the other's",
    replacesDirectory,
  ),
  inTree("a file whose name ends in a slash: the type decides, T35", hasFileWithSlash),
  inTree("a name that ends in a dot: means the directory", hasDotAtEnd),
  {
    name: "a body of what has none, T34: skipped once, where tarfile ends without a word",
    matches: ({ difference, archive }) =>
      /^member \d+: .* \| undefined/.test(difference) &&
      (hasFileWithSlash(archive) || hasSizeWithoutContent(archive)),
  },
  {
    name: "an old directory, T35: the whole name says so, of which tarfile sees what the header has",
    matches: ({ difference, archive }) =>
      (/^member \d+: \[".*","5",.*\] \| \[".*","0",/s.test(difference) ||
        /^member \d+: \[".*","0",.*\] \| \[".*","5",/s.test(difference)) &&
      archive.entries.some(({ type }) => type === "\0"),
  },
  inTree("a time before 1970 is 1970: T21", (archive) =>
    archive.entries.some(({ raw }) => raw.pax?.some(([, value]) => String(value).startsWith("-"))),
  ),
];

/** The name of the wanted difference that this is; `undefined` if nobody wants it. */
export function wantedDifference(one: Case): string | undefined {
  return WANTED.find((wanted) => wanted.matches(one))?.name;
}

function clean(path: string): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part);
  }
  return kept.join("/");
}

/** Whether a name, or what a hard link names, lies below something that is a link at some time. */
function goesByLink({ entries }: GeneratedArchive): boolean {
  // Another name of a link is one too.
  const links = entries
    .filter(({ type }) => type === "2" || type === "1")
    .map(({ path }) => `${clean(path)}/`);
  const names = entries.flatMap(({ type, path, link }) => (type === "1" ? [path, link] : [path]));
  return names.some((name) =>
    links.some((link) => `${clean(name)}/`.startsWith(link) && `${clean(name)}/` !== link),
  );
}

function replacesLink({ entries }: GeneratedArchive): boolean {
  return entries.some(
    ({ type, path }, index) =>
      type === "2" &&
      entries.some((other, at) => at !== index && clean(other.path) === clean(path)) &&
      entries.some(
        (other) =>
          other.type === "2" && clean(other.path) === clean(path) && /^\/|\.\./.test(other.link),
      ),
  );
}

/** Whether a link out of the tree lies in a directory of the archive. */
function hasLinkOut({ entries }: GeneratedArchive): boolean {
  return entries.some(
    ({ type, path, link }) =>
      type === "2" &&
      /^\/|\.\./.test(link) &&
      entries.some(
        (other) => other.type === "5" && clean(other.path) === clean(`${clean(path)}/..`),
      ),
  );
}

/** Whether a link out of the tree lies below a directory, whose name it writes in another way. */
function hasLinkOutBySpelling({ entries }: GeneratedArchive, directory: GeneratedEntry): boolean {
  const spelling = `${directory.path.replace(/\/+$/, "")}/`;
  return (
    directory.type === "5" &&
    entries.some(
      ({ type, path, link }) =>
        type === "2" &&
        /^\/|\.\./.test(link) &&
        clean(path).startsWith(`${clean(directory.path)}/`) &&
        !path.startsWith(spelling),
    )
  );
}

/** As differences have names: one character for each byte. */
function bytesOf(path: string): string {
  return Buffer.from(path).toString("latin1");
}

function linksToLinkOut({ entries }: GeneratedArchive): boolean {
  return entries.some(
    ({ type, path, link }) =>
      type === "2" &&
      /^\/|\.\./.test(link) &&
      entries.some((other) => other.type === "1" && clean(other.link) === clean(path)),
  );
}

function replacesDirectory({ entries }: GeneratedArchive): boolean {
  return entries.some(({ type, path }, index) => {
    const later = entries.slice(index + 1);
    return (
      type === "5" && later.some((other) => other.type !== "5" && clean(other.path) === clean(path))
    );
  });
}

function hasSizeWithoutContent({ entries }: GeneratedArchive): boolean {
  return entries.some(
    ({ type, raw }) =>
      (typeof raw.size === "number" && raw.size > 0) ||
      (!"07\0".includes(type) && raw.pax?.some(([key]) => key === "size")),
  );
}

function hasDotAtEnd({ entries }: GeneratedArchive): boolean {
  return entries.some(({ path }) => /(?:^|\/)\.?\/*$/.test(path));
}

function hasFileWithSlash({ entries }: GeneratedArchive): boolean {
  return entries.some(
    ({ type, raw, path }) => type !== "5" && (path.endsWith("/") || String(raw.name).endsWith("/")),
  );
}

function hasNameTwice({ entries }: GeneratedArchive): boolean {
  const isBelow = (one: GeneratedEntry, other: GeneratedEntry): boolean =>
    one !== other && `${clean(one.path)}/`.startsWith(`${clean(other.path)}/`);
  return entries.some((one) => entries.some((other) => isBelow(one, other)));
}

/** Whether a hard link says anything of its file that the file's own entry does not. */
function describesByLink({ entries }: GeneratedArchive): boolean {
  return entries.some(({ type, link, raw }, index) => {
    if (type !== "1") return false;
    const target = entries.slice(0, index).findLast(({ path }) => clean(path) === clean(link));
    const said = ({ mode, uid, gid, mtime, pax }: typeof raw): string =>
      JSON.stringify([mode, uid, gid, mtime, (pax ?? []).filter(([key]) => !key.endsWith("path"))]);
    return target === undefined || said(target.raw) !== said(raw);
  });
}

/** A header whose checksum is right up to a zero, where others stop to read. */
function hasMoreInChecksum({ bytes }: GeneratedArchive): boolean {
  for (let start = 0; start + BLOCK_BYTES <= bytes.length; start += BLOCK_BYTES) {
    const block = Buffer.from(bytes.subarray(start, start + BLOCK_BYTES));
    const [, digits = ""] = /^ *([0-7]+)\0+[^\0 ]/.exec(block.toString("latin1", 148, 156)) ?? [];
    block.fill(" ", 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    if (digits !== "" && Number.parseInt(digits, 8) === sum) return true;
  }
  return false;
}
