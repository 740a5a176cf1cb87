/**
 * What to write into `registries.d`, so that whoever writes just that has what was meant.
 *
 * @module
 */
import { dirname, join } from "node:path";

import { escapeText } from "@stowage/content";

import { isOneEditAway } from "../scope/spelled-alike.ts";
import type { RegistriesD } from "./registries-d.ts";
import type { SignatureSection } from "./signature-section.ts";
import type { ImageScopes } from "../scope/policy-scope.ts";
import { findSimilarScopes } from "../scope/similar-scope.ts";
import { shownScope } from "../scope/shown-scope.ts";

/** What a section is to say. */
export type SectionKey = "lookaside" | "use-sigstore-attachments";

const VALUES: Readonly<Record<SectionKey, string>> = {
  lookaside: '"URL"',
  "use-sigstore-attachments": "true",
};
/** What each may be called. */
const NAMES: Readonly<Record<SectionKey, readonly string[]>> = {
  lookaside: ["sigstore", "lookaside"],
  "use-sigstore-attachments": ["use-sigstore-attachments"],
};
const KEYS = [...Object.values(NAMES).flat(), "lookaside-staging", "sigstore-staging"];

/**
 * How to say it for a scope, as a clause. A scope that is there already must not be in a second file,
 * nor a key in a section twice.
 *
 * @param scope - of images in registries; `""` is all of them.
 */
export function howToWrite(config: RegistriesD, scope: string, key: SectionKey): string {
  const { directory } = config;
  const name = scope === "" ? "default-docker" : showScope(scope);
  const section = sectionOf(config, scope);
  if (section === undefined) {
    const value = `{${key}: ${VALUES[key]}}`;
    const text = scope === "" ? `${name}: ${value}` : `docker: {"${shownScope(scope)}": ${value}}`;
    return `write ${text} into a new file ${escapeText(join(directory, "NAME.yaml"))}`;
  }
  const at = keyAt(section, key);
  if (at !== undefined) return inPlaceOf(key, section, at);
  return `give ${name} in ${lineOf(section)}, the key ${key}: ${VALUES[key]}`;
}

/**
 * How to have it said otherwise than it is, as a clause.
 *
 * @param decided - the scope and the section that say it now, if any does.
 * @param scope - that it is to be said for.
 * @param kind - what is of that scope: "repository".
 */
export function howToCorrect(
  config: RegistriesD,
  decided: readonly [string, SignatureSection] | undefined,
  scope: string,
  { key, kind }: { readonly key: SectionKey; readonly kind: string },
): string {
  if (decided === undefined) return howToWrite(config, scope, key);
  const [from, section] = decided;
  const at = keyAt(section, key) ?? key;
  // A narrower section goes before whatever is written for the scope.
  if (from === scope || from.startsWith(`${scope}:`) || from.startsWith(`${scope}@`))
    return inPlaceOf(key, section, at);
  const there =
    key === "lookaside"
      ? `correct ${escapeText(section.file)}, ${at}`
      : inPlaceOf(key, section, at);
  return `${there}, or, for this ${kind} alone, ${howToWrite(config, scope, key)}`;
}

function inPlaceOf(key: SectionKey, { file }: SignatureSection, at: string): string {
  return `write ${key}: ${VALUES[key]} in place of ${escapeText(file)}, ${at}`;
}

/**
 * What somebody wrote, and most likely meant for this image.
 *
 * @param decided - the scope whose section says it now, if any does: only a nearer one would be heard.
 */
export function nearMisses(
  config: RegistriesD,
  image: ImageScopes,
  { key, decided = "" }: { readonly key: SectionKey; readonly decided?: string | undefined },
): readonly NearMiss[] {
  const { docker, unread = [] } = config;
  const all = [image.identity, ...image.namespaces];
  const scopes = decided === "" ? all : all.slice(0, all.indexOf(decided));
  const names = Object.keys(docker).filter((scope) => says(docker[scope], key));
  const similar = findSimilarScopes(names, image).filter(({ meant }) => scopes.includes(meant));
  return [
    ...similar.map(({ scope, meant, doubt }) => {
      const [has, is] = [docker[scope], docker[meant]];
      const write = is
        ? `move ${key} to ${showScope(meant)} in ${lineOf(is)},`
        : `write ${showScope(meant)}`;
      const text = `${lineOf(has)}, has ${showScope(scope)}, which does not cover it: ${write} if it is to.`;
      return { text, isCertain: doubt === undefined || doubt === "port" };
    }),
    ...misspelt(config, scopes, key).map((text) => ({ text, isCertain: true })),
    ...unread.map((file) => ({
      text: `${escapeText(file)} ${whyUnread(file).join("; ")}.`,
      isCertain: file.endsWith(".yml"),
    })),
  ].slice(0, MAX_MISSES);
}

/** One sentence about what somebody wrote. */
export interface NearMiss {
  readonly text: string;
  /** That whoever wrote it can only have meant this: what else could be wrong need not be said. */
  readonly isCertain: boolean;
}

const MAX_MISSES = 3;

/** Why nobody reads what is in the directory, and what to do if somebody is to, as two clauses. */
export function whyUnread(file: string): readonly [string, string] {
  return file.endsWith("/")
    ? [
        "is not read: it is a folder",
        `move its files to ${escapeText(dirname(file))} if they are meant`,
      ]
    : ["is not read: its name does not end in .yaml", "give it such a name if it is meant"];
}

/** What stands where it means nothing, in a section that covers one of the scopes or as one. */
function misspelt(config: RegistriesD, scopes: readonly string[], key: SectionKey): string[] {
  const sections = [
    ["default-docker", config.default] as const,
    ...scopes.map((scope) => [showScope(scope), sectionOf(config, scope)] as const),
  ];
  return (config.unknown ?? []).flatMap(({ file, path, line }) => {
    const has = `${escapeText(file)}, line ${line ?? "?"}, has ${path}, which means nothing there`;
    if (scopes.includes(path))
      return `${has}: below docker: stand scopes, and below a scope ${key}.`;
    const [name, section] = sections.find(([shown]) => path.startsWith(`${shown}.`)) ?? [];
    if (name === undefined || section === undefined || keyAt(section, key) !== undefined) return [];
    const meant = meantKey(path.slice(name.length + 1)) ?? key;
    if (!NAMES[key].includes(meant)) return [];
    return `${has}: write ${meant}${key === "lookaside" ? "" : ": true"}.`;
  });
}

/** Which key of a section was most likely meant by one that is none. */
export function meantKey(key: string): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z]/g, "");
  return KEYS.find((known) => isOneEditAway(plain(known), plain(key)));
}

function says(section: SignatureSection | undefined, key: SectionKey): boolean {
  if (key === "lookaside") return section?.lookaside !== undefined;
  return section?.useSigstoreAttachments === true;
}

function sectionOf({ docker, ...rest }: RegistriesD, scope: string): SignatureSection | undefined {
  if (scope === "") return rest.default;
  return Object.hasOwn(docker, scope) ? docker[scope] : undefined;
}

function keyAt(section: SignatureSection, key: SectionKey): string | undefined {
  return key === "lookaside" ? section.lookasideAt : section.attachmentsAt;
}

function showScope(scope: string): string {
  return `docker["${shownScope(scope)}"]`;
}

/** The file, and the line where the section begins. */
function lineOf(section: SignatureSection | undefined): string {
  return `${escapeText(section?.file ?? "")}, line ${section?.line ?? "?"}`;
}
