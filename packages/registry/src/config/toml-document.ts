import { escapeText } from "@stowage/content";
import { redactCredentials } from "@stowage/reference";
import { parse, TomlError } from "smol-toml";

import { RegistryError } from "../registry-error.ts";
import { joinPath, locateTomlKeys } from "./toml-lines.ts";

const MAX_FILE_BYTES = 1024 * 1024;
const MAX_DEPTH = 64;
const HINT =
  "Mend the file; no registry is asked until then. --registries-conf reads another in place of registries.conf, not of its drop-ins.";

/** A table of a TOML file that knows where it stands, and which of its keys were asked for. */
export class TomlTable {
  readonly #document: TomlDocument;
  readonly #path: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #asked = new Set<string>();

  constructor(document: TomlDocument, path: string, values: Readonly<Record<string, unknown>>) {
    this.#document = document;
    this.#path = path;
    this.#values = values;
    document.tables.push(this);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#values, key);
  }

  keys(): readonly string[] {
    return Object.keys(this.#values);
  }

  string(key: string): string | undefined {
    const value = this.#take(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.invalid(key, "is not a string");
  }

  boolean(key: string): boolean {
    return this.flag(key) ?? false;
  }

  /** As `boolean`, where nothing said is a third answer. */
  flag(key: string): boolean | undefined {
    const value = this.#take(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.invalid(key, "is neither true nor false");
  }

  /** What can be of several types; the caller tells them apart. */
  value(key: string): unknown {
    return this.#take(key);
  }

  strings(key: string): readonly string[] | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return value;
    throw this.invalid(key, "is not a list of strings");
  }

  table(key: string): TomlTable | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    if (!isTable(value)) throw this.invalid(key, "is not a table");
    return new TomlTable(this.#document, this.#at(key), value);
  }

  tables(key: string): readonly TomlTable[] {
    const value = this.#take(key) ?? [];
    if (!Array.isArray(value) || !value.every(isTable)) {
      throw this.invalid(key, "is not a list of tables");
    }
    return value.map((entry, at) => {
      return new TomlTable(this.#document, `${this.#at(key)}[${at}]`, entry);
    });
  }

  /** The keys that nobody asked for, with their paths. */
  unknownKeys(): readonly string[] {
    return this.keys()
      .filter((key) => !this.#asked.has(key))
      .map((key) => withoutSecrets(this.#at(key)));
  }

  /** What is wrong with a key, or with the table itself, as an error that names file and line. */
  invalid(key: string | undefined, what: string, cause?: unknown): RegistryError {
    const paths = key === undefined ? [this.#path] : [this.#at(key), this.#path];
    return this.#document.invalid(paths, what, cause);
  }

  #take(key: string): unknown {
    this.#asked.add(key);
    return this.has(key) ? this.#values[key] : undefined;
  }

  #at(key: string): string {
    return joinPath(this.#path, key);
  }
}

/** A TOML file, read strictly. */
export class TomlDocument {
  readonly file: string;
  readonly root: TomlTable;
  readonly tables: TomlTable[] = [];
  readonly #hint: string;
  readonly #lines: ReadonlyMap<string, number>;

  /**
   * @param hint - what to do about a mistake in it.
   * @throws {@link RegistryError} `ERR_REGISTRY_INVALID_CONFIG` with file and line, over 1 MiB or
   *   for what is no TOML.
   */
  constructor(file: string, bytes: Uint8Array, hint: string = HINT) {
    this.file = file;
    this.#hint = hint;
    this.#lines = new Map();
    if (bytes.byteLength > MAX_FILE_BYTES) {
      throw invalidConfig(`${file}: over ${MAX_FILE_BYTES} bytes`, undefined, hint);
    }
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw invalidConfig(`${file}: not UTF-8`, cause, hint);
    }
    this.#lines = locateTomlKeys(text);
    this.root = new TomlTable(this, "", parseToml(file, text, hint));
  }

  /** @param paths - of the key at fault, then of what it stands in, in case it has no line. */
  invalid(paths: readonly string[], what: string, cause?: unknown): RegistryError {
    const line = paths.map((path) => this.#lines.get(path)).find((found) => found !== undefined);
    const where = line === undefined ? this.file : `${this.file}:${line}`;
    const subject = paths[0] === "" ? "" : `${escapeText(withoutSecrets(paths[0] ?? ""), 120)} `;
    return invalidConfig(`${where}: ${subject}${what}`, cause, this.#hint);
  }
}

/** A key that has to be quoted may be a name that somebody wrote a user and a password before. */
function withoutSecrets(path: string): string {
  return path.replaceAll(QUOTED, (key) => `"${redactCredentials(key.slice(1, -1))}"`);
}

const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** A complaint about a configuration file. */
export function invalidConfig(
  message: string,
  cause?: unknown,
  hint: string = HINT,
): RegistryError {
  return new RegistryError("ERR_REGISTRY_INVALID_CONFIG", message, {
    hint,
    ...(cause !== undefined && { cause }),
  });
}

function parseToml(file: string, text: string, hint: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text, { maxDepth: MAX_DEPTH, unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // No cause: the library's message quotes the lines around.
    const what = error.message.split("\n", 1)[0] ?? "";
    const where = `${file}:${error.line}: ${what} (column ${error.column})`;
    throw invalidConfig(where, undefined, hint);
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}
