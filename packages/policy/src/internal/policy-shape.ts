import type { JsonValue } from "@stowage/content";

import type { JsonSteps } from "./json-lines.ts";
import { nearestWord } from "./nearest-word.ts";
import { howToGive, howToGiveOneOf, howToList } from "./policy-example.ts";
import { howToEncode } from "../key/mistaken-key.ts";
import { PolicyFormError } from "./policy-form-error.ts";
import { shownScope } from "../scope/shown-scope.ts";

type JsonObject = { readonly [key: string]: JsonValue };

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const WORD = /^[A-Za-z][A-Za-z0-9-]*$/;

/** Reads one JSON object of a policy, and says the path of the first thing that is wrong. */
export class PolicyShape {
  /** Where it is in the document. */
  readonly steps: JsonSteps;
  readonly #object: JsonObject;
  #known: readonly string[] = [];

  /** @param what - what the object has, where that is worth saying. */
  constructor(value: JsonValue | undefined, steps: JsonSteps = [], what = "") {
    this.steps = steps;
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

  /** The object that a key has. @param what - what that has, where that is worth saying. */
  inner(key: string, what?: string): PolicyShape {
    return new PolicyShape(this.#object[key], this.stepsTo(key), what);
  }

  stepsTo(key: string, index?: number): JsonSteps {
    return [...this.steps, key, ...(index === undefined ? [] : [index])];
  }

  /** Fails if there is a key that is none of `known`. Case counts. */
  allow(...known: readonly string[]): this {
    this.#known = known;
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
    if (value === undefined) this.fail(`is missing${howToGive(key)}`, key);
    if (typeof value === "string") return value;
    return this.fail(`is not a string${howToList(key, value, this.#known)}`, key);
  }

  filledString(key: string): string {
    return this.string(key) || this.fail(`is empty${howToGive(key)}`, key);
  }

  strings(key: string): readonly string[] {
    const value = this.#object[key];
    if (!Array.isArray(value)) {
      this.fail(`is not an array${howToList(key, value ?? null, this.#known)}`, key);
    }
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
    return (
      this.atMostOne(...keys) ?? this.fail(`needs one of ${keys.join(", ")}${howToGiveOneOf(keys)}`)
    );
  }

  atMostOne<Key extends string>(...keys: readonly Key[]): Key | undefined {
    const [first, second] = keys.filter((key) => this.has(key));
    if (second !== undefined) {
      const all = second === `${first}s` ? `, or give all in ${second}` : "";
      this.fail(`has both ${first} and ${second}, of which there can be one: remove one${all}`);
    }
    return first;
  }

  fail(problem: string, key?: string, index?: number): never {
    const steps = key === undefined ? this.steps : this.stepsTo(key, index);
    throw new PolicyFormError(`${showPath(steps) || "the document"} ${problem}`, steps);
  }

  #checkBase64(text: string, key: string, index?: number): string {
    const joined = text.replace(/[\r\n]/g, "");
    if (BASE64.test(joined)) return joined;
    return this.fail(
      `is not base64: ${howToEncode(text, key.replace(/Datas?$/, "Path"))}`,
      key,
      index,
    );
  }
}

/** A JSON path: `transports.docker["quay.io"][0]`. */
export function showPath(steps: JsonSteps): string {
  return steps.reduce<string>((path, step) => {
    if (typeof step === "number") return `${path}[${step}]`;
    if (!WORD.test(step)) return `${path}["${shownScope(step)}"]`;
    return `${path}${path === "" ? "" : "."}${step}`;
  }, "");
}
