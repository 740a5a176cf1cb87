/**
 * Where signatures of images in registries are: `registries.d` of containers tools.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-registries.d.5.md
 * @module
 */
import { readdir, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";
import {
  entriesOf,
  forbidden,
  invalidRegistriesD,
  readDocument,
  readSection,
  type SectionPlace,
  showKeys,
  showPlace,
} from "./registries-d-document.ts";
import { shownLookaside } from "./lookaside.ts";
import type { SignatureSection } from "./signature-section.ts";

/** Where {@link loadRegistriesD} looks. */
export interface LoadRegistriesDOptions {
  /** The one directory to read; without it the user's if it exists, else the system's. */
  readonly directory?: string | undefined;
  /** Its `HOME` says where the user's directory is. @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** @defaultValue `/etc/containers/registries.d` */
  readonly systemDirectory?: string | undefined;
  /** Told of what is none, instead of a failure; what it says is left out then. */
  readonly onInvalid?: ((error: PolicyError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** All sections of a directory. */
export interface RegistriesD {
  /** The directory that was read, whether or not it exists. */
  readonly directory: string;
  /** Set if it does not exist. */
  readonly missing?: true;
  readonly default?: SignatureSection;
  /** Scope to section. Has no prototype. */
  readonly docker: Readonly<Record<string, SignatureSection>>;
  /** Where signatures are if no section says. */
  readonly defaultLookaside: string;
  /** What is written there and means nothing, as containers tools pass over it. */
  readonly unknown?: readonly UnknownKey[];
  /**
   * Files of the directory that nobody reads, since their names do not end in `.yaml`; a folder, which
   * nobody reads either, has a slash behind it.
   */
  readonly unread?: readonly string[];
  /** Set if something was none, and left out. */
  readonly incomplete?: true;
}

/** A key that stands where it has no meaning. */
export interface UnknownKey {
  readonly file: string;
  readonly path: string;
  /** Counted from 1. */
  readonly line?: number;
}

const SYSTEM_DIRECTORY = "/etc/containers/registries.d";
const USER_DIRECTORY = ".config/containers/registries.d";
const SECTION_KEYS: ReadonlySet<string> = new Set([
  "lookaside",
  "lookaside-staging",
  "sigstore",
  "sigstore-staging",
  "use-sigstore-attachments",
]);
const MAX_FILES = 1000;

/**
 * Reads all `*.yaml` of a directory. One that does not exist says nothing, unless it was asked for.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_REGISTRIES_D` for a `directory` that does not exist,
 *   a file that is no such configuration, or one that repeats a section of another.
 */
export async function loadRegistriesD(options: LoadRegistriesDOptions = {}): Promise<RegistriesD> {
  const { env = process.env, signal } = options;
  const directory = await findDirectory(options);
  const { files, ...listed } = await listFiles(directory);
  if (listed.missing && options.directory !== undefined)
    throw invalidRegistriesD(directory, "there is no such directory", {
      hint: `Make it (mkdir -p ${escapeText(directory)}), or correct the path that was given.`,
    });
  const docker: Record<string, SignatureSection> = Object.create(null);
  const unknown: UnknownKey[] = [];
  const invalid = options.onInvalid && new Set<PolicyError>();
  let fallback: SignatureSection | undefined;
  for (const file of files) {
    signal?.throwIfAborted();
    const document = await attempt(invalid, async () => await readDocument(file));
    if (document === undefined) continue;
    const { content, lineOf } = document;
    const placeOf = (...keys: readonly string[]): SectionPlace => ({ file, keys, lineOf });
    const read = async (value: unknown, place: SectionPlace, known?: SignatureSection) =>
      (await attempt(invalid, () => readNew(value, place, known, unknown))) ?? known;
    const listed = async (value: unknown, place: SectionPlace) =>
      (await attempt(invalid, () => entriesOf(value, place))) ?? [];
    for (const [key, value] of await listed(content, placeOf())) {
      if (key === "default-docker") {
        if (value === null) continue;
        fallback = await read(value, placeOf(key), fallback);
      } else if (key === "docker") {
        for (const [scope, section] of await listed(value, placeOf(key))) {
          const found = await read(section, placeOf(key, scope), docker[scope]);
          if (found !== undefined) docker[scope] = found;
        }
      } else {
        unknown.push(unknownKey(placeOf(key)));
      }
    }
  }
  for (const error of invalid ?? []) options.onInvalid?.(error);
  return {
    directory,
    docker,
    ...(fallback === undefined ? {} : { default: fallback }),
    defaultLookaside: defaultLookaside(env),
    ...(unknown.length === 0 ? {} : { unknown }),
    ...(invalid !== undefined && invalid.size > 0 && { incomplete: true }),
    ...listed,
  };
}

/** @param invalid - what takes a mistake of a file, if that is not to be a failure. */
async function attempt<T>(
  invalid: Set<PolicyError> | undefined,
  read: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (invalid === undefined || !(error instanceof PolicyError)) throw error;
    invalid.add(error);
    return undefined;
  }
}

/** @param known - the section of the same scope that was read before. */
function readNew(
  value: unknown,
  place: SectionPlace,
  known: SignatureSection | undefined,
  unknown: UnknownKey[],
): SignatureSection {
  const { file, keys, lineOf } = place;
  if (known !== undefined) {
    const where = `${escapeText(known.file)}, line ${known.line ?? "?"}`;
    const differing = differenceOf(known, readSection(value, place));
    const merge =
      differing === undefined
        ? `Merge the two: move what ${showKeys(keys)} has in ${escapeText(file)} to ${where}`
        : `The two differ: ${differing}. Keep the right one in ${where}`;
    const hint = `${merge}, and remove it from ${escapeText(file)}.`;
    throw invalidRegistriesD(file, `${showPlace(place)} is in ${where}, already`, { hint });
  }
  for (const [key] of entriesOf(value, place)) {
    if (!SECTION_KEYS.has(key)) unknown.push(unknownKey({ file, keys: [...keys, key], lineOf }));
  }
  return readSection(value, place);
}

/** What two sections cannot both mean, as a clause. */
function differenceOf(one: SignatureSection, other: SignatureSection): string | undefined {
  const [lookaside, elsewhere] = [one, other].map((section) => section.lookaside);
  if (lookaside !== undefined && elsewhere !== undefined && lookaside !== elsewhere)
    return `one has the lookaside ${shownLookaside(lookaside)}, the other ${shownLookaside(elsewhere)}`;
  const [looks, otherLooks] = [one, other].map((section) => section.useSigstoreAttachments);
  return looks !== undefined && otherLooks !== undefined && looks !== otherLooks
    ? `one has use-sigstore-attachments: ${looks}, the other ${otherLooks}`
    : undefined;
}

function unknownKey({ file, keys, lineOf }: SectionPlace): UnknownKey {
  const line = lineOf(keys);
  return { file, path: showKeys(keys), ...(line !== undefined && { line }) };
}

async function findDirectory(options: LoadRegistriesDOptions): Promise<string> {
  const { directory, env = process.env, systemDirectory = SYSTEM_DIRECTORY } = options;
  if (directory !== undefined) return directory;
  const home = env["HOME"];
  if (home === undefined || !isAbsolute(home)) return systemDirectory;
  const user = join(home, USER_DIRECTORY);
  try {
    await stat(user);
    return user;
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT", "ENOTDIR")) return systemDirectory;
    throw invalidRegistriesD(user, "cannot be examined", { cause });
  }
}

/** What the directory has to read, and what it has beside that. */
async function listFiles(
  directory: string,
): Promise<{ readonly files: readonly string[] } & Pick<RegistriesD, "missing" | "unread">> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const found = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const files = found.map(({ name }) => name).filter((name) => name.endsWith(".yaml"));
    if (files.length > MAX_FILES)
      throw invalidRegistriesD(directory, `has more than ${MAX_FILES} files`);
    const unread = found.filter(({ name }) => !name.endsWith(".yaml") && !name.startsWith("."));
    const full = (name: string): string => join(directory, name);
    const shown = unread.map((entry) => full(entry.name) + (entry.isDirectory() ? "/" : ""));
    return {
      files: files.map(full),
      ...(shown.length > 0 && { unread: shown.slice(0, MAX_FILES) }),
    };
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT")) return { files: [], missing: true };
    if (hasErrorCode(cause, "ERR_POLICY_INVALID_REGISTRIES_D")) throw cause;
    if (hasErrorCode(cause, "EACCES", "EPERM")) throw await forbidden(directory, "rx");
    if (hasErrorCode(cause, "ENOTDIR")) {
      const hint = `Name the folder that has the files: ${escapeText(dirname(directory))} if that is it.`;
      throw invalidRegistriesD(directory, "is a file, and no folder", { hint });
    }
    throw invalidRegistriesD(directory, "cannot be listed", { cause });
  }
}

function defaultLookaside(env: Readonly<Record<string, string | undefined>>): string {
  const home = env["HOME"];
  if (process.getuid?.() === 0 || home === undefined) return "file:///var/lib/containers/sigstore";
  return `file://${home}/.local/share/containers/sigstore`;
}
