import { ContentError, type ContentErrorCode } from "../content-error.ts";
import { type Digest, parseDigest } from "../digest.ts";
import type { JsonValue } from "../json-document.ts";

export type JsonObject = { readonly [key: string]: JsonValue };

/** Reads fields of one JSON object, and says the path of the first that is wrong. */
export class JsonShape {
  readonly path: string;
  readonly object: JsonObject;
  readonly #code: ContentErrorCode;

  constructor(value: JsonValue | undefined, path: string, code: ContentErrorCode) {
    this.path = path;
    this.#code = code;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.fail("is not an object");
    }
    this.object = value as JsonObject;
  }

  has(key: string): boolean {
    return this.object[key] !== undefined && this.object[key] !== null;
  }

  string(key: string): string {
    const value = this.object[key];
    return typeof value === "string" ? value : this.fail("is not a string", key);
  }

  optionalString(key: string): string | undefined {
    return this.has(key) ? this.string(key) : undefined;
  }

  digest(key: string): Digest {
    return parseDigest(this.string(key));
  }

  size(key: string): number {
    const value = this.object[key];
    return typeof value === "number" &&
      Number.isSafeInteger(value) &&
      !Object.is(value, -0) &&
      value >= 0
      ? value
      : this.fail("is not a whole number of bytes", key);
  }

  array(key: string): readonly JsonValue[] {
    const value = this.object[key];
    return Array.isArray(value)
      ? (value as readonly JsonValue[])
      : this.fail("is not an array", key);
  }

  strings(key: string): readonly string[] {
    return this.array(key).map((value, at) =>
      typeof value === "string" ? value : this.fail("is not a string", `${key}[${at}]`),
    );
  }

  optionalStrings(key: string): readonly string[] | undefined {
    return this.has(key) ? this.strings(key) : undefined;
  }

  /** A map of strings; without a prototype, so that any key is only data. */
  stringMap(key: string): Readonly<Record<string, string>> {
    const shape = this.child(key);
    const map: Record<string, string> = Object.create(null);
    for (const name of Object.keys(shape.object)) map[name] = shape.string(name);
    return map;
  }

  /** A set written as an object whose values say nothing, as in `ExposedPorts`. */
  keySet(key: string): readonly string[] {
    return Object.keys(this.child(key).object);
  }

  child(key: string): JsonShape {
    return new JsonShape(this.object[key], this.#at(key), this.#code);
  }

  children(key: string): readonly JsonShape[] {
    return this.array(key).map(
      (value, at) => new JsonShape(value, this.#at(`${key}[${at}]`), this.#code),
    );
  }

  fail(what: string, key?: string): never {
    throw new ContentError(this.#code, `${key === undefined ? this.path : this.#at(key)} ${what}`);
  }

  #at(key: string): string {
    return `${this.path}.${key}`;
  }
}
