const QUOTED = String.raw`"(?:[^"\\]|\\.)*"|'[^']*'`;
const HEADER = String.raw`\[((?:${QUOTED}|[^\]"'])+)\]`;
const ARRAY_HEADER = new RegExp(String.raw`^\s*\[${HEADER}\]`, "u");
const TABLE_HEADER = new RegExp(String.raw`^\s*${HEADER}`, "u");
const KEY = new RegExp(String.raw`^\s*(${QUOTED}|[A-Za-z0-9_-]+)\s*=`, "u");
const PART = new RegExp(String.raw`${QUOTED}|[^."']+`, "gu");
const BARE = /^[A-Za-z0-9_-]+$/u;

/**
 * The lines of the keys of a TOML document, by paths such as `registry[0].mirror[1].location`, so
 * that a complaint about a value can say where it stands. For messages only: what is written within
 * a line, or a string over several, is not looked into.
 */
export function locateTomlKeys(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let table = "";
  for (const [index, line] of text.split("\n").entries()) {
    const array = ARRAY_HEADER.exec(line)?.[1];
    const header = array ?? TABLE_HEADER.exec(line)?.[1];
    if (header !== undefined) {
      table = "";
      for (const step of steps(header, array !== undefined, counts)) {
        table = step;
        // What is only named on the way to another table begins there.
        if (!lines.has(table)) lines.set(table, index + 1);
      }
      continue;
    }
    const key = KEY.exec(line)?.[1];
    if (key !== undefined) lines.set(joinPath(table, unquote(key)), index + 1);
  }
  return lines;
}

function* steps(header: string, isArray: boolean, counts: Map<string, number>): Generator<string> {
  const parts = (header.match(PART) ?? []).map((part) => unquote(part.trim()));
  let path = "";
  for (const [index, part] of parts.entries()) {
    path = joinPath(path, part);
    const count = counts.get(path);
    if (isArray && index === parts.length - 1) {
      counts.set(path, (count ?? 0) + 1);
      path = `${path}[${count ?? 0}]`;
    } else if (count !== undefined) path = `${path}[${count - 1}]`;
    yield path;
  }
}

/** The path of a key below that of its table, as it would be written. */
export function joinPath(table: string, key: string): string {
  const written = BARE.test(key) ? key : JSON.stringify(key);
  return table === "" ? written : `${table}.${written}`;
}

function unquote(key: string): string {
  return key.replace(/^(["'])(.*)\1$/su, "$2");
}
