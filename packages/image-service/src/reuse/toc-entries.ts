/**
 * The entries of a table of contents, one at a time: what a stranger wrote is never in memory as a
 * whole tree of objects, which may be fifty times as large as its text.
 *
 * @module
 */

/** One entry, as JSON has it. Nothing of it is known to be true. */
export type TocEntry = Readonly<Record<string, unknown>>;

/** Thrown where a table of contents is none, or is over a limit. */
export class TocError extends Error {
  override readonly name = "TocError";
}

/** The caps of {@link tocEntries}. */
export interface TocEntryLimits {
  /** @defaultValue 200_000 */
  readonly maxEntries?: number | undefined;
  /** Bytes of one entry. @defaultValue 65_536 */
  readonly maxEntryBytes?: number | undefined;
}

const DEFAULT_MAX_ENTRIES = 200_000;
const DEFAULT_MAX_ENTRY_BYTES = 64 * 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The members of the array `entries` of a JSON object.
 *
 * @throws {@link TocError}
 */
export function* tocEntries(
  bytes: Buffer,
  limits: TocEntryLimits = {},
): Generator<TocEntry, void, undefined> {
  const { maxEntries = DEFAULT_MAX_ENTRIES, maxEntryBytes = DEFAULT_MAX_ENTRY_BYTES } = limits;
  let position = findEntries(bytes);
  for (let count = 0; ; count += 1) {
    position = skipSpace(bytes, position);
    if (bytes[position] === CLOSE_BRACKET) return;
    if (bytes[position] !== OPEN_BRACE) throw new TocError(`no entry at byte ${position}`);
    if (count === maxEntries) throw new TocError(`more than ${maxEntries} entries`);
    const end = endOfValue(bytes, position, maxEntryBytes);
    yield parseEntry(bytes, position, end);
    position = skipSpace(bytes, end);
    if (bytes[position] === COMMA) position += 1;
    else if (bytes[position] !== CLOSE_BRACKET) throw new TocError(`no end at byte ${position}`);
  }
}

function parseEntry(bytes: Buffer, start: number, end: number): TocEntry {
  try {
    return JSON.parse(bytes.toString("utf8", start, end)) as TocEntry;
  } catch (cause) {
    throw new TocError(`no JSON at byte ${start}`, { cause });
  }
}

/** Where the first entry begins. */
function findEntries(bytes: Buffer): number {
  let position = skipSpace(bytes, 0);
  if (bytes[position] !== OPEN_BRACE) throw new TocError("no JSON object");
  do {
    position = skipSpace(bytes, position + 1);
    if (bytes[position] !== QUOTE) break;
    const end = endOfValue(bytes, position, DEFAULT_MAX_ENTRY_BYTES);
    const isFound = bytes.toString("latin1", position, end) === '"entries"';
    position = skipSpace(bytes, end);
    if (bytes[position] !== COLON) break;
    position = skipSpace(bytes, position + 1);
    if (isFound) {
      if (bytes[position] !== OPEN_BRACKET) break;
      return position + 1;
    }
    position = skipSpace(bytes, endOfValue(bytes, position, DEFAULT_MAX_ENTRY_BYTES));
  } while (bytes[position] === COMMA);
  throw new TocError("no entries");
}

/** Where the value that begins at `start` ends. What stands in it is for a parser to judge. */
function endOfValue(bytes: Buffer, start: number, maxBytes: number): number {
  const limit = Math.min(bytes.length, start + maxBytes);
  let depth = 0;
  let position = start;
  while (position < limit) {
    const byte = bytes[position];
    if (byte === QUOTE) {
      position = endOfString(bytes, position, limit);
      if (depth === 0) return position;
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
      if (depth < 0) return position;
      if (depth === 0) return position + 1;
    } else if (depth === 0 && byte === COMMA) return position;
    position += 1;
  }
  throw new TocError(`a value without an end, or of more than ${maxBytes} bytes, at byte ${start}`);
}

function endOfString(bytes: Buffer, start: number, limit: number): number {
  for (let position = start + 1; position < limit; position += 1) {
    if (bytes[position] === BACKSLASH) position += 1;
    else if (bytes[position] === QUOTE) return position + 1;
  }
  throw new TocError(`a text without an end at byte ${start}`);
}

function skipSpace(bytes: Buffer, start: number): number {
  let position = start;
  for (; position < bytes.length; position += 1) {
    const byte = bytes[position];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
  }
  return position;
}
