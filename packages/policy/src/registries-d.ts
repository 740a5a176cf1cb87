/**
 * Where signatures of images in registries are: `registries.d` of containers tools.
 *
 * @see https://github.com/containers/image/blob/v5.36.2/docs/containers-registries.d.5.md
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";

import { escapeText, hasErrorCode } from "@stowage/content";
import {
  type Reference,
  scopeIdentity,
  scopeNamespaces,
  withoutTagIfDigested,
} from "@stowage/reference";

import { PolicyError } from "./policy-error.ts";

/** Where {@link loadRegistriesD} looks. */
export interface LoadRegistriesDOptions {
  /** The one directory to read; without it the user's if it exists, else the system's. */
  readonly directory?: string | undefined;
  /** Its `HOME` says where the user's directory is. @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** @defaultValue `/etc/containers/registries.d` */
  readonly systemDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What one section says. A field that is not there is left to a wider section. */
export interface SignatureSection {
  /** The file it is from. */
  readonly file: string;
  readonly lookaside?: string;
  /** The line of the file, and the key, that `lookaside` is from. */
  readonly lookasideAt?: string;
  readonly lookasideStaging?: string;
  readonly useSigstoreAttachments?: boolean;
}

/** All sections of a directory. */
export interface RegistriesD {
  /** The directory that was read, whether or not it exists. */
  readonly directory: string;
  readonly default?: SignatureSection;
  /** Scope to section. Has no prototype. */
  readonly docker: Readonly<Record<string, SignatureSection>>;
  /** Where signatures are if no section says. */
  readonly defaultLookaside: string;
  /** What is written there and means nothing, as containers tools pass over it. */
  readonly unknown?: readonly UnknownKey[];
}

/** A key that stands where it has no meaning. */
export interface UnknownKey {
  readonly file: string;
  readonly path: string;
}

/** What the sections say about one image, each field with the file that says so. */
export interface SignatureStorage {
  /** Where to read; a `file:`, `http:` or `https:` URL. */
  readonly lookaside: string;
  readonly lookasideFile?: string;
  /** As {@link SignatureSection} has it. */
  readonly lookasideAt?: string;
  /** Where to write. */
  readonly lookasideStaging: string;
  /** Whether signatures may also be in the registry, beside the image. @defaultValue false */
  readonly useSigstoreAttachments: boolean;
  readonly attachmentsFile?: string;
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
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_FILES = 1000;

/**
 * Reads all `*.yaml` of a directory. One that does not exist says nothing.
 *
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_REGISTRIES_D` for a file that is no such
 *   configuration, or that repeats a section of another.
 */
export async function loadRegistriesD(options: LoadRegistriesDOptions = {}): Promise<RegistriesD> {
  const { env = process.env, signal } = options;
  const directory = await findDirectory(options);
  const docker: Record<string, SignatureSection> = Object.create(null);
  const unknown: UnknownKey[] = [];
  const read = (value: unknown, place: SectionPlace): SignatureSection => {
    const { file, path } = place;
    for (const [key] of entriesOf(value, file, path)) {
      if (!SECTION_KEYS.has(key)) unknown.push({ file, path: `${path}.${escapeText(key, 160)}` });
    }
    return readSection(value, place);
  };
  let fallback: SignatureSection | undefined;
  for (const file of await listFiles(directory)) {
    signal?.throwIfAborted();
    const { content, lineOf } = await readDocument(file);
    for (const [key, value] of entriesOf(content, file, "the document")) {
      if (key === "default-docker") {
        if (value === null) continue;
        if (fallback !== undefined) throw repeated(file, fallback, "default-docker");
        fallback = read(value, { file, path: key, lineOf: (name) => lineOf([key, name]) });
      } else if (key === "docker") {
        for (const [scope, section] of entriesOf(value, file, key)) {
          const path = `docker["${escapeText(scope, 160)}"]`;
          const known = docker[scope];
          if (known !== undefined) throw repeated(file, known, path);
          const place = { file, path, lineOf: (name: string) => lineOf([key, scope, name]) };
          docker[scope] = read(section, place);
        }
      } else {
        unknown.push({ file, path: escapeText(key, 160) });
      }
    }
  }
  return {
    directory,
    docker,
    ...(fallback === undefined ? {} : { default: fallback }),
    defaultLookaside: defaultLookaside(env),
    ...(unknown.length === 0 ? {} : { unknown }),
  };
}

/**
 * What is said about an image: by its own section, by one of a wider scope, by the default; each
 * field by the first that has it.
 *
 * @param reference - by its physical name: that of the mirror that it comes from, if it is one.
 */
export function signatureStorageOf(config: RegistriesD, reference: Reference): SignatureStorage {
  const scopes = [
    scopeIdentity(withoutTagIfDigested(reference)),
    ...scopeNamespaces(reference.repository),
  ];
  const sections = [
    ...scopes.flatMap((scope) =>
      Object.hasOwn(config.docker, scope) ? (config.docker[scope] ?? []) : [],
    ),
    ...(config.default === undefined ? [] : [config.default]),
  ];
  const read = sections.find(({ lookaside }) => lookaside !== undefined);
  const write = sections.find(
    ({ lookaside, lookasideStaging }) => (lookasideStaging ?? lookaside) !== undefined,
  );
  const attachments = sections.find(
    ({ useSigstoreAttachments }) => useSigstoreAttachments !== undefined,
  );
  return {
    lookaside: read?.lookaside ?? config.defaultLookaside,
    ...(read && { lookasideFile: read.file }),
    ...(read?.lookasideAt !== undefined && { lookasideAt: read.lookasideAt }),
    lookasideStaging: write?.lookasideStaging ?? write?.lookaside ?? config.defaultLookaside,
    useSigstoreAttachments: attachments?.useSigstoreAttachments ?? false,
    ...(attachments && { attachmentsFile: attachments.file }),
  };
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
    throw invalid(user, "cannot be examined", cause);
  }
}

async function listFiles(directory: string): Promise<readonly string[]> {
  try {
    const names = (await readdir(directory)).filter((name) => name.endsWith(".yaml"));
    if (names.length > MAX_FILES) throw invalid(directory, `has more than ${MAX_FILES} files`);
    return names.sort().map((name) => join(directory, name));
  } catch (cause) {
    if (hasErrorCode(cause, "ENOENT")) return [];
    if (hasErrorCode(cause, "ERR_POLICY_INVALID_REGISTRIES_D")) throw cause;
    throw invalid(directory, "cannot be listed", cause);
  }
}

/** Where a section stands. */
interface SectionPlace {
  readonly file: string;
  readonly path: string;
  /** Counted from 1. */
  readonly lineOf: (key: string) => number | undefined;
}

interface YamlDocument {
  readonly content: unknown;
  readonly lineOf: (path: readonly string[]) => number | undefined;
}

async function readDocument(file: string): Promise<YamlDocument> {
  const { isNode, LineCounter, parseDocument } = await import("yaml");
  try {
    const status = await stat(file);
    if (!status.isFile()) throw invalid(file, "is no plain file");
    if (status.size > MAX_FILE_BYTES) throw invalid(file, `is longer than ${MAX_FILE_BYTES} bytes`);
    const lineCounter = new LineCounter();
    const options = { schema: "core", merge: false, lineCounter } as const;
    const document = parseDocument(await readFile(file, "utf8"), options);
    const [mistake] = document.errors;
    if (mistake !== undefined) throw mistake;
    return {
      // As data only: with `maxAliasCount` no short file can stand for a long document.
      content: document.toJS({ maxAliasCount: 20 }),
      lineOf(path) {
        const node = document.getIn(path, true);
        const [start] = (isNode(node) ? node.range : undefined) ?? [];
        return start === undefined ? undefined : lineCounter.linePos(start).line;
      },
    };
  } catch (cause) {
    if (hasErrorCode(cause, "ERR_POLICY_INVALID_REGISTRIES_D")) throw cause;
    const [what = ""] = cause instanceof Error ? cause.message.split("\n") : [];
    throw invalid(file, `is no YAML that can be read: ${escapeText(what, 160)}`, cause);
  }
}

function readSection(value: unknown, { file, path, lineOf }: SectionPlace): SignatureSection {
  const fields = Object.fromEntries(entriesOf(value, file, path));
  const text = (...keys: readonly string[]): { key: string; text: string } | undefined => {
    for (const key of keys) {
      const field = fields[key];
      if (field === undefined || field === null || field === "") continue;
      if (typeof field !== "string") throw invalid(file, `${path}.${key} is not a string`);
      return { key, text: field };
    }
    return undefined;
  };
  const attachments = fields["use-sigstore-attachments"] ?? undefined;
  if (attachments !== undefined && typeof attachments !== "boolean") {
    throw invalid(file, `${path}.use-sigstore-attachments is neither true nor false`);
  }
  const lookaside = text("lookaside", "sigstore");
  const lookasideStaging = text("lookaside-staging", "sigstore-staging");
  return {
    file,
    ...(lookaside && {
      lookaside: lookaside.text,
      lookasideAt: `line ${lineOf(lookaside.key) ?? "?"}, ${path}.${lookaside.key}`,
    }),
    ...(lookasideStaging && { lookasideStaging: lookasideStaging.text }),
    ...(attachments === undefined ? {} : { useSigstoreAttachments: attachments }),
  };
}

function entriesOf(
  value: unknown,
  file: string,
  path: string,
): readonly (readonly [string, unknown])[] {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object" || Array.isArray(value))
    throw invalid(file, `${path} is no mapping`);
  return Object.entries(value);
}

function defaultLookaside(env: Readonly<Record<string, string | undefined>>): string {
  const home = env["HOME"];
  if (process.getuid?.() === 0 || home === undefined) return "file:///var/lib/containers/sigstore";
  return `file://${home}/.local/share/containers/sigstore`;
}

function repeated(file: string, known: SignatureSection, path: string): PolicyError {
  return invalid(file, `${path} is in ${escapeText(known.file)} already`);
}

function invalid(file: string, problem: string, cause?: unknown): PolicyError {
  return new PolicyError("ERR_POLICY_INVALID_REGISTRIES_D", `${escapeText(file)}: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "Correct it: without it nobody knows where signatures are, and nothing is pulled.",
  });
}
