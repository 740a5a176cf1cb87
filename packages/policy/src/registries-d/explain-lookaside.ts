import { escapeText } from "@stowage/content";
import { formatRepository, type Reference, type Repository } from "@stowage/reference";

import { scopesOf } from "../scope/policy-scope.ts";
import type { SignaturePlace } from "../ports.ts";
import type { RegistriesD } from "./registries-d.ts";
import { howToCorrect, type NearMiss, nearMisses } from "./registries-d-remedy.ts";
import { sectionsOf, type SignatureStorage } from "./signature-storage.ts";

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
  const meant = isMirror ? `${name}${OF_MIRROR}` : name;
  const decided = sectionsOf(config, reference).find(
    ([, { lookaside }]) => lookaside !== undefined,
  );
  const write = howToCorrect(config, decided, name, { key: "lookaside", kind: "repository" });
  const like = file === undefined ? ", as in file:///srv/signatures" : "";
  const url = `URL is what stands before /${rest}${like}.`;
  const why = config.missing
    ? `${escapeText(config.directory)} does not exist`
    : `no file of ${escapeText(config.directory)} has a lookaside for ${meant}`;
  const misses = missesOf(config, reference, { key: "lookaside", decided: decided?.[0] });
  const otherwise = `If its signatures are elsewhere, ${write}. ${url} ${HOW_TO_SIGN}`;
  return {
    statedBy:
      file === undefined
        ? `the built-in default, since ${why}`
        : `${escapeText(file)}, ${at ?? "lookaside"}, says so for ${meant}`,
    remedy: remedyOf(misses, otherwise),
  };
}

const OF_MIRROR = ", the mirror that the image comes from";

/** What made a place one, unless its remedy says which line it is, and there is no more to say. */
export function statedBeside({ statedBy, remedy }: SignaturePlace): string | undefined {
  const [line = ""] = statedBy?.split(", says so for ") ?? [];
  const isSaid = remedy?.includes(line) === true && statedBy?.endsWith(OF_MIRROR) === false;
  return isSaid ? undefined : statedBy;
}

/** That the folder of a place is not there at all, if it is not. */
export function missingNote({ missing }: SignaturePlace): readonly string[] {
  return missing === undefined ? [] : [`there is no ${escapeText(missing)} at all`];
}

function missesOf(
  config: RegistriesD,
  reference: Reference,
  about: MissesAbout,
): readonly NearMiss[] {
  return nearMisses(config, scopesOf({ transport: "docker", reference }), about);
}

/** What is certain alone; else what may be meant, and what to do if it is not. */
function remedyOf(misses: readonly NearMiss[], otherwise: string): string {
  const certain = misses.filter(({ isCertain }) => isCertain);
  const texts = (certain.length > 0 ? certain : misses).map(({ text }) => text);
  return [...texts, ...(certain.length > 0 ? [] : [otherwise])].join(" ");
}

type MissesAbout = Parameters<typeof nearMisses>[2];

/** What is said where nobody looks beside an image. */
export interface ExplainedAttachments {
  /** Why nobody does, as a clause. */
  readonly skipped: string;
  /** How it is said that somebody is to, as a sentence or more. */
  readonly remedy: string;
}

/**
 * Says which line decided that nobody looks beside an image, or that none does, and what to write.
 *
 * @param reference - by its physical name, which `registries.d` is asked by.
 */
export function explainAttachments(
  config: RegistriesD,
  reference: Reference,
): ExplainedAttachments {
  const name = formatRepository(reference.repository);
  const decided = sectionsOf(config, reference).find(
    ([, section]) => section.useSigstoreAttachments !== undefined,
  );
  const key = "use-sigstore-attachments";
  const write = howToCorrect(config, decided, name, { key, kind: "repository" });
  const section = decided?.[1];
  const why =
    section === undefined
      ? `${escapeText(config.directory)} does not set ${key} for ${name}`
      : `${escapeText(section.file)}, ${section.attachmentsAt ?? key}, says no to ${key} for ${name}`;
  return {
    skipped: `nobody looked beside the image, since ${why}`,
    remedy: remedyOf(
      missesOf(config, reference, { key, decided: decided?.[0] }),
      `To have signatures beside the image looked for, ${write}.`,
    ),
  };
}

const HOW_TO_SIGN =
  "If there are none, have it signed, each image of an index by itself: skopeo copy (--all) and podman push do, with --sign-by. Those of a copy do not come along: have it signed as well, or copy the original's folder there, and have the policy accept the original's name.";
