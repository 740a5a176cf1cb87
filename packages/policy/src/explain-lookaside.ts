import { join } from "node:path";

import { escapeText } from "@stowage/content";
import {
  formatRepository,
  type Reference,
  type Repository,
  scopeIdentity,
  scopeNamespaces,
  withoutTagIfDigested,
} from "@stowage/reference";

import type { RegistriesD } from "./registries-d.ts";
import { type SignatureStorage } from "./signature-storage.ts";
import { findSimilarScopes } from "./similar-scope.ts";

/** What is said of a lookaside that has nothing. */
export interface ExplainedLookaside {
  /** What made it the place, as a clause. */
  readonly statedBy: string;
  /** How another place is said, as a sentence or more. */
  readonly remedy: string;
}

/** What a lookaside is the place of. */
export interface LookasideOf {
  /** By its physical name, which `registries.d` is asked by. */
  readonly reference: Reference;
  /** By the name that the user gave. */
  readonly asked: Repository;
  /** What of the place is behind the URL that `registries.d` has. */
  readonly rest: string;
}

/** Says which line decided where signatures are, or why none did, and what to write instead. */
export function explainLookaside(
  config: RegistriesD,
  { lookasideFile: file, lookasideAt: at }: SignatureStorage,
  { reference, asked, rest }: LookasideOf,
): ExplainedLookaside {
  const name = formatRepository(reference.repository);
  const isMirror = name !== formatRepository(asked);
  const meant = isMirror ? `${name}, the mirror that the image comes from` : name;
  const url = `URL is what stands before /${rest}, as in file:///srv/signatures or https://example.com/signatures.`;
  if (file !== undefined) {
    const where = `${escapeText(file)}, ${at ?? "lookaside"}`;
    return {
      statedBy: `${where}, says so for ${meant}`,
      remedy: `If its signatures are elsewhere, correct ${where}, or, for this repository alone, ${howToWrite(config, name)}. ${url} ${HOW_TO_SIGN}`,
    };
  }
  const why = config.missing
    ? `${escapeText(config.directory)} does not exist`
    : `no file of ${escapeText(config.directory)} has a lookaside for ${meant}`;
  return {
    statedBy: `the built-in default, since ${why}`,
    remedy: [
      ...nearMisses(config, reference),
      `If its signatures are elsewhere, ${howToWrite(config, name)}. ${url} ${HOW_TO_SIGN}`,
    ].join(" "),
  };
}

const HOW_TO_SIGN =
  "If there are none, have the image signed: skopeo copy and podman push do, with --sign-by.";

/** A scope that is there already must not be in a second file. */
function howToWrite({ directory, docker }: RegistriesD, name: string): string {
  const own = Object.hasOwn(docker, name) ? docker[name] : undefined;
  return own === undefined
    ? `write docker: {"${name}": {lookaside: "URL"}} into a new file ${escapeText(join(directory, "NAME.yaml"))}`
    : `give docker["${name}"] in ${escapeText(own.file)}, line ${own.line ?? "?"}, the key lookaside: "URL"`;
}

/** What somebody wrote, and most likely meant for this image. */
function nearMisses(
  { docker, unknown = [], unread = [] }: RegistriesD,
  reference: Reference,
): readonly string[] {
  const identity = scopeIdentity(withoutTagIfDigested(reference));
  const namespaces = scopeNamespaces(reference.repository);
  const own = [identity, ...namespaces].filter((scope) => Object.hasOwn(docker, scope));
  const similar = findSimilarScopes(Object.keys(docker), {
    transport: "docker",
    identity,
    namespaces,
  });
  return [
    ...similar.slice(0, MAX_MISSES).map(({ scope, meant }) => {
      const { file = "", line } = docker[scope] ?? {};
      return `${escapeText(file)}, line ${line ?? "?"}, has docker["${escapeText(scope, 160)}"], which does not cover it: write docker["${meant}"] if it is to.`;
    }),
    ...unknown
      .filter(
        ({ path }) =>
          path.startsWith("default-docker.") ||
          own.some((scope) => path.startsWith(`docker["${scope}"].`)) ||
          [identity, ...namespaces].includes(path),
      )
      .slice(0, MAX_MISSES)
      .map(
        ({ file, path, line }) =>
          `${escapeText(file)}, line ${line ?? "?"}, has ${path}, which means nothing there: below docker: stand scopes, and below a scope lookaside.`,
      ),
    ...unread
      .slice(0, MAX_MISSES)
      .map((file) => `${escapeText(file)} is not read: its name does not end in .yaml.`),
  ];
}

const MAX_MISSES = 3;
