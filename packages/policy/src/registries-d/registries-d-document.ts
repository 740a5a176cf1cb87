/**
 * One file of `registries.d`: YAML, with the lines that its keys stand in.
 *
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { howToPermit } from "../internal/how-to-permit.ts";
import { PolicyError } from "../policy-error.ts";
import { shownScope, withoutSecrets } from "../scope/shown-scope.ts";
import type { SignatureSection } from "./signature-section.ts";

const MAX_FILE_BYTES = 1024 * 1024;
const ATTACHMENTS = "use-sigstore-attachments";

/** A file as data. */
export interface YamlDocument {
  readonly content: unknown;
  /** The line of the last of these keys, counted from 1; `undefined` behind an alias. */
  readonly lineOf: (keys: readonly string[]) => number | undefined;
}

/** Where a section stands. */
export interface SectionPlace {
  readonly file: string;
  readonly keys: readonly string[];
  readonly lineOf: YamlDocument["lineOf"];
}

export async function readDocument(file: string): Promise<YamlDocument> {
  const { isMap, isScalar, LineCounter, parseDocument, visit } = await import("yaml");
  try {
    const status = await stat(file);
    if (!status.isFile()) throw noPlainFile(file, status.isDirectory());
    if (status.size > MAX_FILE_BYTES)
      throw invalidRegistriesD(file, `is longer than ${MAX_FILE_BYTES} bytes`);
    const lineCounter = new LineCounter();
    const options = { schema: "core", merge: false, lineCounter } as const;
    const document = parseDocument(await readFile(file, "utf8"), options);
    const [mistake] = document.errors;
    if (mistake?.code === "DUPLICATE_KEY") {
      visit(document, {
        Map(_, { items }) {
          const keys = items.flatMap(({ key }) => (isScalar(key) ? key : []));
          const second = keys.find(({ range }) => range?.[0] === mistake.pos[0]);
          const first = keys.find(({ value }) => value === second?.value);
          const [line, again] = [first, second].map(
            (key) => lineCounter.linePos(key?.range?.[0] ?? 0).line,
          );
          if (second === undefined) return;
          const key = shownScope(`${second.value}`);
          const [value, other] = [first, second].map(
            (key) => items.find((item) => item.key === key)?.value,
          );
          const hint = [value, other].every((found) => isScalar(found))
            ? howToChoose(key, `${value}` === `${other}`, [line, again])
            : `Merge the two: move what is below ${key}: in line ${again} to that of line ${line}, and remove the second.`;
          throw invalidRegistriesD(file, `line ${again}, ${key}: is in line ${line}, already`, {
            hint,
          });
        },
      });
    }
    if (mistake !== undefined) throw mistake;
    return {
      // As data only: with `maxAliasCount` no short file can stand for a long document.
      content: document.toJS({ maxAliasCount: 20 }),
      lineOf(keys) {
        const parent = document.getIn(keys.slice(0, -1), true);
        const found = isMap(parent)
          ? parent.items
              .map(({ key }) => key)
              .find((key) => isScalar(key) && `${key.value}` === keys.at(-1))
          : undefined;
        const [start] = (isScalar(found) ? found.range : undefined) ?? [];
        return start === undefined ? undefined : lineCounter.linePos(start).line;
      },
    };
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_POLICY_INVALID_REGISTRIES_D")) throw cause;
    if (hasErrorCode(cause, "EACCES", "EPERM")) throw await forbidden(file, "r");
    const [what = ""] = cause instanceof Error ? cause.message.split("\n") : [];
    const words = shownWords(what.replace(/:$/, ""));
    // What else a mistake in the text says is a drawing of the line, or an alias without its anchor.
    const isMistake =
      cause instanceof Error && ("linePos" in cause || cause.name === "ReferenceError");
    throw invalidRegistriesD(
      file,
      `is no YAML that can be read: ${words}`,
      isMistake ? {} : { cause },
    );
  }
}

/** One of two lines that say the same key, each with a value that can only be one. */
function howToChoose(
  key: string,
  isSame: boolean,
  [line, again]: readonly (number | undefined)[],
): string {
  return isSame
    ? `Remove ${key}: of line ${again}: the two say the same.`
    : `The two differ, and only one can be meant: remove ${key}: of line ${line}, or that of line ${again}.`;
}

/** An alias that there is none of may be a scope. */
function shownWords(text: string): string {
  return escapeText(text.split(" ").map(withoutSecrets).join(" "), 160);
}

export function readSection(value: unknown, place: SectionPlace): SignatureSection {
  const { file, keys, lineOf } = place;
  const fields = Object.fromEntries(entriesOf(value, place));
  const at = (key: string): string => showPlace({ ...place, keys: [...keys, key] });
  const text = (...names: readonly string[]): { key: string; text: string } | undefined => {
    for (const key of names) {
      const field = fields[key];
      if (field === undefined || field === null || field === "") continue;
      if (typeof field !== "string") throw invalidRegistriesD(file, `${at(key)} is not a string`);
      return { key, text: field };
    }
    return undefined;
  };
  const attachments = fields[ATTACHMENTS] ?? undefined;
  if (attachments !== undefined && typeof attachments !== "boolean")
    throw invalidRegistriesD(file, `${at(ATTACHMENTS)} is neither true nor false`);
  const lookaside = text("lookaside", "sigstore");
  const stated =
    lookaside?.key ?? ["lookaside", "sigstore"].find((key) => Object.hasOwn(fields, key));
  const lookasideStaging = text("lookaside-staging", "sigstore-staging");
  const line = lineOf(keys);
  return {
    file,
    ...(line !== undefined && { line }),
    ...(lookaside && { lookaside: lookaside.text }),
    ...(stated !== undefined && { lookasideAt: at(stated) }),
    ...(lookasideStaging && { lookasideStaging: lookasideStaging.text }),
    ...(attachments === undefined ? {} : { useSigstoreAttachments: attachments }),
    ...(Object.hasOwn(fields, ATTACHMENTS) && { attachmentsAt: at(ATTACHMENTS) }),
  };
}

/** What a mapping has, in its order. */
export function entriesOf(
  value: unknown,
  place: SectionPlace,
): readonly (readonly [string, unknown])[] {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object" || Array.isArray(value)) {
    const where = place.keys.length === 0 ? "the document" : showPlace(place);
    const isSection = place.keys.length === 2;
    const why = isSection ? ": a section has lookaside and the like, indented further" : "";
    throw invalidRegistriesD(place.file, `${where} is no mapping${why}`);
  }
  return Object.entries(value);
}

/** Line and keys, as in `line 3, docker["q.io"].lookaside`. */
export function showPlace({ keys, lineOf }: SectionPlace): string {
  return `line ${lineOf(keys) ?? "?"}, ${showKeys(keys)}`;
}

/** Keys as in `docker["q.io"].lookaside`. */
export function showKeys([top = "", ...keys]: readonly string[]): string {
  const [first, ...rest] = keys.map(shownScope);
  if (top !== "docker") return [top, ...keys].map(shownScope).join(".");
  return first === undefined ? top : [`docker["${first}"]`, ...rest].join(".");
}

/** The error of a file, or of the directory. */
export function invalidRegistriesD(
  file: string,
  problem: string,
  { cause, hint = CORRECT }: { readonly cause?: unknown; readonly hint?: string } = {},
): PolicyError {
  return new PolicyError("ERR_POLICY_INVALID_REGISTRIES_D", `${escapeText(file)}: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint,
  });
}

function noPlainFile(file: string, isFolder: boolean): PolicyError {
  if (!isFolder) return invalidRegistriesD(file, "is no plain file");
  const hint = `Folders are not read: move its files to ${escapeText(dirname(file))}, and remove it.`;
  return invalidRegistriesD(file, "is a folder, and no file", { hint });
}

/** The error of a file, or of the directory, that may not be read. */
export async function forbidden(file: string, mode: "r" | "rx"): Promise<PolicyError> {
  return invalidRegistriesD(file, "may not be read by whoever this runs as", {
    hint: `${await howToPermit(resolve(file), mode)}. ${NOTHING_PULLED}`,
  });
}

const NOTHING_PULLED = "Until then nobody knows where signatures are, and nothing is pulled.";
const CORRECT = "Correct it: without it nobody knows where signatures are, and nothing is pulled.";
