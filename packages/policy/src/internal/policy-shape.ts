import type { JsonValue } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";
import { shownScope } from "../scope/shown-scope.ts";
import { isOneEditAway } from "../scope/spelled-alike.ts";

type JsonObject = { readonly [key: string]: JsonValue };

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const WORD = /^[A-Za-z][A-Za-z0-9-]*$/;

/** Reads one JSON object of a policy, and says the path of the first thing that is wrong. */
export class PolicyShape {
  readonly path: string;
  readonly #object: JsonObject;

  /** @param what - what the object has, where that is worth saying. */
  constructor(value: JsonValue | undefined, path: string, what = "") {
    this.path = path;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.fail(`is not an object${what}`);
    }
    this.#object = value as JsonObject;
  }

  get keys(): readonly string[] {
    return Object.keys(this.#object);
  }

  has(key: string): boolean {
    return this.#object[key] !== undefined;
  }

  value(key: string): JsonValue | undefined {
    return this.#object[key];
  }

  /** Fails if there is a key that is none of `known`. Case counts. */
  allow(...known: readonly string[]): this {
    const unknown = this.keys.find((key) => !known.includes(key));
    if (unknown !== undefined) {
      const meant = nearestWord(unknown, known);
      const which = meant === undefined ? `there are ${known.join(", ")}` : `write ${meant}`;
      this.fail(`is a key that the grammar does not have: ${which}`, unknown);
    }
    return this;
  }

  string(key: string): string {
    const value = this.#object[key];
    if (value === undefined) this.fail("is missing", key);
    return typeof value === "string" ? value : this.fail("is not a string", key);
  }

  filledString(key: string): string {
    return this.string(key) || this.fail("is empty", key);
  }

  strings(key: string): readonly string[] {
    const value = this.#object[key];
    if (!Array.isArray(value)) this.fail("is not an array", key);
    return (value as readonly JsonValue[]).map((item, index) =>
      typeof item === "string" ? item : this.fail("is not a string", key, index),
    );
  }

  filledStrings(key: string): readonly string[] {
    const values = this.strings(key);
    return values.length > 0 ? values : this.fail("has no entries", key);
  }

  base64(key: string): string {
    return this.#checkBase64(this.string(key), key);
  }

  filledBase64List(key: string): readonly string[] {
    return this.filledStrings(key).map((item, index) => this.#checkBase64(item, key, index));
  }

  /** The one of `keys` that is there. */
  exactlyOne<Key extends string>(...keys: readonly Key[]): Key {
    return this.atMostOne(...keys) ?? this.fail(`needs one of ${keys.join(", ")}`);
  }

  atMostOne<Key extends string>(...keys: readonly Key[]): Key | undefined {
    const [first, second] = keys.filter((key) => this.has(key));
    if (second !== undefined) {
      this.fail(`has both ${first} and ${second}, of which there can be one`);
    }
    return first;
  }

  pathOf(key: string, index?: number): string {
    return pathOf(this.path, key, index);
  }

  fail(problem: string, key?: string, index?: number): never {
    const path = key === undefined ? this.path : this.pathOf(key, index);
    throw new PolicyError("ERR_POLICY_INVALID_CONFIG", `${path || "the document"} ${problem}`);
  }

  #checkBase64(text: string, key: string, index?: number): string {
    const joined = text.replace(/[\r\n]/g, "");
    return BASE64.test(joined) ? joined : this.fail("is not base64", key, index);
  }
}

/** The one of a grammar's words that somebody most likely meant. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  return (
    known.find((other) => other.toLowerCase() === word.toLowerCase()) ??
    known.find((other) => isOneEditAway(other, word))
  );
}

/** The JSON path of a key: `transports.docker["quay.io"][0]`. */
export function pathOf(path: string, key: string, index?: number): string {
  const item = index === undefined ? "" : `[${index}]`;
  if (!WORD.test(key)) return `${path}["${shownScope(key)}"]${item}`;
  return `${path}${path === "" ? "" : "."}${key}${item}`;
}
