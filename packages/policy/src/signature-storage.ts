import {
  type Reference,
  scopeIdentity,
  scopeNamespaces,
  withoutTagIfDigested,
} from "@stowage/reference";

import type { RegistriesD } from "./registries-d.ts";

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
