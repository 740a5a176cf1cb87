import {
  type Reference,
  scopeIdentity,
  scopeNamespaces,
  withoutTagIfDigested,
} from "@stowage/reference";

import type { RegistriesD } from "./registries-d.ts";
import type { SignatureSection } from "./signature-section.ts";

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

/**
 * What is said about an image: by its own section, by one of a wider scope, by the default; each
 * field by the first that has it.
 *
 * @param reference - by its physical name: that of the mirror that it comes from, if it is one.
 */
export function signatureStorageOf(config: RegistriesD, reference: Reference): SignatureStorage {
  const sections = sectionsOf(config, reference).map(([, section]) => section);
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

/** All that may speak of an image, nearest first, each with its scope; the default has `""`. */
export function sectionsOf(
  config: RegistriesD,
  reference: Reference,
): readonly (readonly [string, SignatureSection])[] {
  const scopes = [
    scopeIdentity(withoutTagIfDigested(reference)),
    ...scopeNamespaces(reference.repository),
  ];
  const own = scopes.flatMap((scope) => {
    const section = Object.hasOwn(config.docker, scope) ? config.docker[scope] : undefined;
    return section === undefined ? [] : [[scope, section] as const];
  });
  return config.default === undefined ? own : [...own, ["", config.default]];
}
