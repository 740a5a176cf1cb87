import { type Digest, escapeText } from "@stowage/content";
import { formatRepository, type Reference } from "@stowage/reference";

import { findBundles } from "../sigstore/bundle-referrers.ts";
import { cosignTag, readCosignAttachment } from "../sigstore/cosign-attachment.ts";
import { explainAttachments, explainLookaside } from "../registries-d/explain-lookaside.ts";
import {
  lookasideName,
  missingFolder,
  readLookaside,
  shownLookaside,
  shownSignature,
  type UrlFetcher,
} from "../registries-d/lookaside.ts";
import type { FoundSignatures, SignaturePlace, SignatureRegistry } from "../ports.ts";
import type { RegistriesD } from "../registries-d/registries-d.ts";
import { PolicyError } from "../policy-error.ts";
import { parseSignatureBlob } from "./signature-blob.ts";
import { SignatureBudget } from "./signature-budget.ts";
import { signatureStorageOf } from "../registries-d/signature-storage.ts";
import type { ImageSignature } from "./signature.ts";

/** How {@link findSignatures} looks. */
export interface FindSignaturesOptions {
  readonly signal?: AbortSignal | undefined;
  readonly registriesD: RegistriesD;
  readonly registry: SignatureRegistry;
  readonly fetchUrl: UrlFetcher;
  /**
   * Milliseconds for all of them: a place that gives out a byte now and then may not keep a pull for
   * days.
   *
   * @defaultValue 300_000
   */
  readonly patience?: number | undefined;
}

const PATIENCE_MS = 300_000;

/**
 * All signatures of one manifest: those that the registry keeps itself, else those of the lookaside;
 * and where `registries.d` allows it, those beside the image.
 *
 * @param reference - which image, by the name that the user gave.
 * @throws {@link PolicyError} as `readLookaside` and `readCosignAttachment` do, and
 *   `ERR_POLICY_SIGNATURES_UNAVAILABLE` when it takes too long; what the registry throws comes
 *   through.
 */
export async function findSignatures(
  reference: Reference,
  manifest: Digest,
  options: FindSignaturesOptions,
): Promise<FoundSignatures> {
  const { patience = PATIENCE_MS, registry, signal } = options;
  const deadline = AbortSignal.timeout(patience);
  const both = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  try {
    return await lookEverywhere(reference, manifest, { ...options, signal: both });
  } catch (cause) {
    if (!deadline.aborted || signal?.aborted === true || both.reason !== deadline.reason)
      throw cause;
    const name = registry.location ?? formatRepository(registry.repository);
    throw new PolicyError(
      "ERR_POLICY_SIGNATURES_UNAVAILABLE",
      `the signatures of ${escapeText(name)}@${manifest} have not come within ${patience / 1000} s, so that nobody knows whether the image is signed`,
      {
        cause,
        hint: "Try again; if it is as slow again, look at what serves the lookaside and the registry: signatures are a few kB.",
      },
    );
  }
}

async function lookEverywhere(
  reference: Reference,
  manifest: Digest,
  options: FindSignaturesOptions,
): Promise<FoundSignatures> {
  const { registry, registriesD, fetchUrl, signal } = options;
  const { repository } = registry;
  const physical = { ...reference, repository };
  const storage = signatureStorageOf(registriesD, physical);
  const budget = new SignatureBudget();
  const signatures: ImageSignature[] = [];
  const places: SignaturePlace[] = [];
  const note = (
    kind: SignaturePlace["kind"],
    location: string,
    found: readonly ImageSignature[],
    explained: Pick<SignaturePlace, "missing" | "remedy" | "statedBy"> = {},
  ) => {
    signatures.push(...found);
    places.push({ kind, location, found: found.length, ...explained });
  };
  const name = registry.location ?? formatRepository(repository);
  const kept = await registry.signatureFiles(manifest, { signal });
  const files = registry.location === undefined ? kept : (kept ?? []);
  if (files !== undefined) {
    const keeper = registry.location ?? repository.host;
    const location = `the signatures that ${keeper} keeps`;
    for (const { byteLength } of files) budget.take(byteLength);
    note(
      "extension",
      location,
      files.map((bytes) => parseSignatureBlob(bytes, location)),
      files.length > 0 ? {} : { remedy: `Have the image signed: ${keeper} keeps its signatures.` },
    );
    const skipped = `${keeper} keeps signatures itself`;
    places.push({ kind: "lookaside", location: shownLookaside(storage.lookaside), skipped });
  } else {
    const { lookaside, lookasideFile: file, lookasideAt: at } = storage;
    const statedIn = file === undefined ? undefined : `${file}, ${at ?? "lookaside"}`;
    const read = { fetchUrl, budget, signal, statedIn };
    const found = await readLookaside(lookaside, repository, manifest, read);
    const rest = `${lookasideName(repository, manifest)}/signature-1`;
    const of = { reference: physical, asked: reference.repository, rest };
    const missing = found.length > 0 ? undefined : await missingFolder(lookaside);
    const { remedy, statedBy } = explainLookaside(registriesD, storage, of);
    note(
      "lookaside",
      shownSignature(lookaside, repository, manifest, found.length === 0 ? 1 : "N"),
      found,
      found.length > 0
        ? { statedBy }
        : { statedBy, remedy, ...(missing !== undefined && { missing }) },
    );
  }
  const tag = cosignTag(manifest);
  const location = `${name}:${tag}`;
  const referrers = `what refers to ${name}@${manifest}`;
  if (!storage.useSigstoreAttachments) {
    const { skipped, remedy } = explainAttachments(registriesD, physical);
    places.push({ kind: "attachments", location, skipped, remedy });
    places.push({ kind: "referrers", location: referrers, skipped, remedy });
    return { signatures, places };
  }
  const attached = await registry.findManifest(tag, { signal });
  note(
    "attachments",
    location,
    attached === undefined
      ? []
      : await readCosignAttachment(attached, registry, location, { budget, signal }),
  );
  note("referrers", referrers, await findBundles(manifest, registry, { budget, signal }));
  return { signatures, places };
}
