/**
 * JSON of strangers, read so that nobody can read it differently.
 *
 * Two keys that fold to one are two meanings for two readers, so a repeated key is an error, and
 * so is all that RFC 8259 leaves to the reader: byte order marks, malformed UTF-8, numbers that a
 * double cannot hold.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8259
 * @module
 */
import { ContentError } from "./content-error.ts";
import { escapeText } from "./escape-text.ts";

/** What {@link parseJsonDocument} returns; its objects have no prototype. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** The caps of {@link parseJsonDocument}. */
export interface JsonDocumentOptions {
  /** @defaultValue 4_194_304 (4 MiB, the manifest length that registries should accept) */
  readonly maxBytes?: number | undefined;
  /** Arrays and objects inside one another. @defaultValue 64 */
  readonly maxDepth?: number | undefined;
  /** Values of any sort in the document. @defaultValue 100_000 */
  readonly maxNodes?: number | undefined;
  /**
   * Refuse whole numbers that are written with a point or an exponent, since readers differ in
   * whether those are whole. @defaultValue false
   */
  readonly plainIntegers?: boolean | undefined;
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
const DEFAULT_MAX_DEPTH = 64;
const DEFAULT_MAX_NODES = 100_000;

/**
 * Reads one JSON document.
 *
 * @throws {@link ContentError} `ERR_CONTENT_TOO_LARGE` over a cap, before the tree is built;
 *   `ERR_CONTENT_DUPLICATE_KEY` for a key that stands twice in one object;
 *   `ERR_CONTENT_INVALID_JSON` for anything else that is not one strict document.
 */
export function parseJsonDocument(bytes: Uint8Array, options: JsonDocumentOptions = {}): JsonValue {
  const { maxBytes = DEFAULT_MAX_BYTES } = options;
  if (bytes.byteLength > maxBytes) {
    throw new ContentError(
      "ERR_CONTENT_TOO_LARGE",
      `JSON document: ${bytes.byteLength} bytes, over ${maxBytes}`,
    );
  }
  return new JsonReader(decode(bytes), options).readDocument();
}

const UTF_8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes);
  } catch (cause) {
    throw new ContentError("ERR_CONTENT_INVALID_JSON", "JSON document: not UTF-8", { cause });
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
/** What a string cannot be taken with as it stands. */
const ESCAPE_OR_CONTROL = /[\\\u0000-\u001f]/;
// A part of a text keeps all of it in memory.
const MAX_SLICED_CHARACTERS = 64 * 1024;

class JsonReader {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #maxNodes: number;
  readonly #plainIntegers: boolean;
  #position = 0;
  #nodes = 0;

  constructor(text: string, options: JsonDocumentOptions) {
    this.#text = text;
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
    this.#maxNodes = options.maxNodes ?? DEFAULT_MAX_NODES;
    this.#plainIntegers = options.plainIntegers ?? false;
  }

  readDocument(): JsonValue {
    if (this.#text.startsWith("\ufeff")) this.#fail("a byte order mark before the document");
    if (this.#text.trim() === "") this.#fail("it is empty: a value was expected");
    const value = this.#readValue(0);
    this.#skipSpace();
    if (this.#position < this.#text.length) this.#fail("text after the document");
    return value;
  }

  #readValue(depth: number): JsonValue {
    if (depth > this.#maxDepth) this.#refuse(`deeper than ${this.#maxDepth}`);
    this.#nodes += 1;
    if (this.#nodes > this.#maxNodes) this.#refuse(`more than ${this.#maxNodes} values`);
    this.#skipSpace();
    switch (this.#text[this.#position]) {
      case "{":
        return this.#readObject(depth);
      case "[":
        return this.#readArray(depth);
      case '"':
        return this.#readString();
      case "t":
        return this.#readWord("true", true);
      case "f":
        return this.#readWord("false", false);
      case "n":
        return this.#readWord("null", null);
      default:
        return this.#readNumber();
    }
  }

  #readObject(depth: number): JsonValue {
    const object: Record<string, JsonValue> = Object.create(null);
    this.#position += 1;
    if (this.#accept("}")) return object;
    do {
      this.#refuseComma("}");
      if (this.#text[this.#position] !== '"') this.#fail("a key was expected");
      const key = this.#readString();
      if (Object.hasOwn(object, key)) {
        throw new ContentError(
          "ERR_CONTENT_DUPLICATE_KEY",
          `JSON document: key "${escapeText(key, 80)}" stands twice in one object`,
        );
      }
      if (!this.#accept(":")) this.#fail("a colon was expected");
      object[key] = this.#readValue(depth + 1);
    } while (this.#accept(","));
    if (!this.#accept("}")) this.#fail("a comma or a closing brace was expected");
    return object;
  }

  #readArray(depth: number): JsonValue {
    const array: JsonValue[] = [];
    this.#position += 1;
    if (this.#accept("]")) return array;
    do {
      this.#refuseComma("]");
      array.push(this.#readValue(depth + 1));
    } while (this.#accept(","));
    if (!this.#accept("]")) this.#fail("a comma or a closing bracket was expected");
    return array;
  }

  #readString(): string {
    const text = this.#text;
    const start = this.#position + 1;
    const end = text.length > MAX_SLICED_CHARACTERS ? -1 : text.indexOf('"', start);
    if (end !== -1) {
      const plain = text.slice(start, end);
      if (!ESCAPE_OR_CONTROL.test(plain)) {
        this.#position = end + 1;
        return plain;
      }
    }
    return JSON.parse(this.#match(STRING) ?? this.#fail("a malformed string")) as string;
  }

  #readNumber(): number {
    const text = this.#match(NUMBER) ?? this.#fail("a value was expected");
    const number = Number(text);
    if (!Number.isFinite(number)) this.#fail("a number that is too large");
    if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
      this.#fail("an integer beyond 2^53");
    }
    if (this.#plainIntegers && Number.isInteger(number) && /[.eE]/u.test(text)) {
      this.#fail("an integer that is not written as one");
    }
    return number;
  }

  #readWord<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#position)) this.#fail("a value was expected");
    this.#position += word.length;
    return value;
  }

  #accept(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#position] !== character) return false;
    this.#position += 1;
    return true;
  }

  /** Between two values there is one comma, and behind the last none. */
  #refuseComma(end: string): void {
    this.#skipSpace();
    const next = this.#text[this.#position];
    if (next !== end && next !== ",") return;
    const comma = next === "," ? this.#position : this.#text.lastIndexOf(",", this.#position);
    const line = this.#text.slice(0, comma).split("\n").length;
    this.#fail(`a comma too many in line ${line}${next === "," ? "" : `, before ${next},`}`);
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#position);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#position += 1;
    }
  }

  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#position;
    const found = expression.exec(this.#text)?.[0];
    if (found !== undefined) this.#position += found.length;
    return found;
  }

  #fail(what: string): never {
    const before = this.#text.slice(0, this.#position).split("\n");
    const column = (before.at(-1) ?? "").length + 1;
    throw new ContentError(
      "ERR_CONTENT_INVALID_JSON",
      `JSON document: ${what} at character ${this.#position} (line ${before.length}, column ${column})`,
      { position: this.#position },
    );
  }

  #refuse(what: string): never {
    throw new ContentError("ERR_CONTENT_TOO_LARGE", `JSON document: ${what}`);
  }
}
