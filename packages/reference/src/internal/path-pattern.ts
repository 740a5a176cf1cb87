/**
 * Shell patterns over paths, with the meaning of Go's `path.Match`.
 *
 * @see https://pkg.go.dev/path#Match
 * @module
 */
import { InvalidReferenceError } from "../invalid-reference-error.ts";

type Test = (character: string) => boolean;

/** One-character tests after a star, or after the beginning of the pattern. */
interface Chunk {
  readonly star: boolean;
  readonly tests: readonly Test[];
}

/** @throws {@link InvalidReferenceError} `ERR_REFERENCE_INVALID_PATTERN` */
export function compilePattern(pattern: string): (name: string) => boolean {
  const chunks = new PatternReader(pattern).readChunks();
  return (name) => matchChunks(chunks, [...name]);
}

// The first place where a chunk fits is taken for good, which keeps the time at its product.
function matchChunks(chunks: readonly Chunk[], name: readonly string[]): boolean {
  let position = 0;
  for (const [index, chunk] of chunks.entries()) {
    const last = index === chunks.length - 1;
    const end = endOfChunk(chunk, name, position, last);
    if (end === undefined) return false;
    position = end;
  }
  return position === name.length;
}

function endOfChunk(
  { star, tests }: Chunk,
  name: readonly string[],
  position: number,
  last: boolean,
): number | undefined {
  if (star && tests.length === 0) {
    return name.includes("/", position) ? undefined : name.length;
  }
  for (let start = position; ; start += 1) {
    const end = start + tests.length;
    const fits = end <= name.length && tests.every((test, at) => test(name[start + at] ?? ""));
    if (fits && (!last || end === name.length)) return end;
    if (!star || start >= name.length || name[start] === "/") return undefined;
  }
}

class PatternReader {
  readonly #pattern: string;
  readonly #characters: readonly string[];
  #position = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#characters = [...pattern];
  }

  readChunks(): readonly Chunk[] {
    const chunks: Chunk[] = [];
    while (this.#position < this.#characters.length) {
      let star = false;
      for (; this.#peek() === "*"; this.#position += 1) star = true;
      const tests: Test[] = [];
      while (this.#position < this.#characters.length && this.#peek() !== "*") {
        tests.push(this.#readTest());
      }
      chunks.push({ star, tests });
    }
    return chunks;
  }

  #readTest(): Test {
    const character = this.#next();
    if (character === "?") return (found) => found !== "/";
    if (character === "[") return this.#readClass();
    const wanted = character === "\\" ? this.#next() : character;
    return (found) => found === wanted;
  }

  #readClass(): Test {
    const negated = this.#peek() === "^";
    if (negated) this.#position += 1;
    const ranges: (readonly [number, number])[] = [];
    while (this.#peek() !== "]" || ranges.length === 0) {
      const low = this.#readClassCharacter();
      if (this.#peek() === "-") {
        this.#position += 1;
        ranges.push([low, this.#readClassCharacter()]);
      } else {
        ranges.push([low, low]);
      }
    }
    this.#position += 1;
    return (found) => {
      const code = found.codePointAt(0) ?? -1;
      return ranges.some(([low, high]) => low <= code && code <= high) !== negated;
    };
  }

  #readClassCharacter(): number {
    const character = this.#next();
    if (character === "-" || character === "]") this.#fail();
    return (character === "\\" ? this.#next() : character).codePointAt(0) ?? this.#fail();
  }

  #peek(): string | undefined {
    return this.#characters[this.#position];
  }

  #next(): string {
    const character = this.#peek() ?? this.#fail();
    this.#position += 1;
    return character;
  }

  #fail(): never {
    throw new InvalidReferenceError(
      "ERR_REFERENCE_INVALID_PATTERN",
      this.#pattern,
      "is not a pattern",
      { hint: "A pattern has *, ? and [a-z]; a backslash takes their meaning away." },
    );
  }
}
