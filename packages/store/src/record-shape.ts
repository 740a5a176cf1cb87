import {
  type Descriptor,
  type Digest,
  isDigest,
  type JsonValue,
  parseDescriptor,
} from "@stowage/content";

import { isLayerID, type LayerID } from "./layer-id.ts";

/** Reads the fields of one object of a record, and refuses what should not be there. */
export class RecordShape {
  readonly #fields: { readonly [key: string]: JsonValue };
  readonly #path: string;

  /** @param known - Every field that the object may have. */
  constructor(value: JsonValue | undefined, path: string, known: readonly string[]) {
    if (typeof value !== "object" || value === null || isArray(value)) {
      throw new TypeError(`${path} is not an object`);
    }
    for (const key of Object.keys(value)) {
      if (!known.includes(key)) throw new TypeError(`${path} has an unknown field ${key}`);
    }
    this.#fields = value;
    this.#path = path;
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined;
  }

  value(key: string): JsonValue {
    const value = this.#fields[key];
    if (value === undefined) throw new TypeError(`${this.#path}.${key} is missing`);
    return value;
  }

  version(expected: number): void {
    const found = this.value("version");
    if (found !== expected) {
      throw new TypeError(`version is ${JSON.stringify(found)}, and ${expected} is what is known`);
    }
  }

  string(key: string): string {
    const value = this.value(key);
    if (typeof value !== "string") throw new TypeError(`${this.#path}.${key} is not a string`);
    return value;
  }

  boolean(key: string): boolean {
    const value = this.value(key);
    if (typeof value !== "boolean") throw new TypeError(`${this.#path}.${key} is not a boolean`);
    return value;
  }

  /** A count, a size: a whole number that is not negative. */
  count(key: string): number {
    const value = this.value(key);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw new TypeError(`${this.#path}.${key} is not a whole number`);
    }
    return value;
  }

  time(key: string): string {
    const value = this.string(key);
    if (Number.isNaN(Date.parse(value))) throw new TypeError(`${this.#path}.${key} is no time`);
    return value;
  }

  digest(key: string): Digest {
    const value = this.string(key);
    if (!isDigest(value)) throw new TypeError(`${this.#path}.${key} is not a digest`);
    return value;
  }

  layerID(key: string): LayerID {
    return asLayerID(this.string(key), `${this.#path}.${key}`);
  }

  list(key: string): readonly JsonValue[] {
    const value = this.value(key);
    if (!isArray(value)) throw new TypeError(`${this.#path}.${key} is not a list`);
    return value;
  }

  strings(key: string): readonly string[] {
    return this.list(key).map((item) => {
      if (typeof item !== "string") throw new TypeError(`${this.#path}.${key} has no text`);
      return item;
    });
  }

  /** An object of texts, whatever its keys are: it has no prototype. */
  texts(key: string): Readonly<Record<string, string>> {
    const value = this.value(key);
    if (typeof value !== "object" || value === null || isArray(value)) {
      throw new TypeError(`${this.#path}.${key} is not an object`);
    }
    const texts: Record<string, string> = Object.create(null);
    for (const [name, text] of Object.entries(value)) {
      if (typeof text !== "string") throw new TypeError(`${this.#path}.${key} has no text`);
      texts[name] = text;
    }
    return texts;
  }

  layerIDs(key: string): readonly LayerID[] {
    return this.strings(key).map((item) => asLayerID(item, `${this.#path}.${key}`));
  }

  digests(key: string): readonly Digest[] {
    return this.strings(key).map((item) => {
      if (!isDigest(item)) throw new TypeError(`${this.#path}.${key} has no digest`);
      return item;
    });
  }

  descriptor(key: string): Descriptor {
    return parseDescriptor(this.value(key), `${this.#path}.${key}`);
  }
}

function asLayerID(text: string, path: string): LayerID {
  if (!isLayerID(text)) throw new TypeError(`${path} is not a layer ID`);
  return text;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
