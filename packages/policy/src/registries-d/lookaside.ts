/**
 * Signatures beside the registry: files that are named for the manifest that they sign.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { algorithmOf, type Digest, encodedOf, escapeText, hasErrorCode } from "@stowage/content";
import type { Repository } from "@stowage/reference";

import {
  exchangeFailed,
  type FailedLookaside,
  isWebPage,
  noSignature,
  statusFailed,
  withPlace,
} from "./lookaside-failure.ts";
import { PolicyError } from "../policy-error.ts";
import { parseSignatureBlob } from "../signature/signature-blob.ts";
import { type SignatureBudget, tooLong } from "../signature/signature-budget.ts";
import { readSignatureFile } from "../signature/signature-file.ts";
import { withoutSecrets } from "../scope/shown-scope.ts";
import type { ImageSignature } from "../signature/signature.ts";

/** Gets what a URL of `http:` or `https:` names; reads at most `maxBytes`, and one more. */
export type UrlFetcher = (
  url: URL,
  options: {
    readonly maxBytes: number;
    readonly signal?: AbortSignal | undefined;
    /** Told of where the answer sends it before it goes there. */
    readonly onRedirect?: (url: URL) => void;
  },
) => Promise<{ readonly status: number; readonly bytes: Uint8Array }>;

/**
 * The place of the `n`th signature of a manifest, counted from 1.
 *
 * @param base - as `registries.d` has it.
 * @param repository - where the image comes from, by its physical name; its host is no part of it.
 * @throws {@link PolicyError} `ERR_POLICY_INVALID_REGISTRIES_D` if `base` is no such URL.
 */
export function lookasideUrl(base: string, repository: Repository, digest: Digest, n: number): URL {
  return urlBelow(parseBase(base), repository, digest, n);
}

function urlBelow(base: URL, repository: Repository, digest: Digest, n: number | "N"): URL {
  const url = new URL(base);
  const folder = url.pathname.replace(/\/$/, "");
  url.pathname = `${folder}/${lookasideName(repository, digest)}/signature-${n}`;
  return url;
}

/** Where the signatures of a manifest are, below whatever base. */
export function lookasideName({ path }: Repository, digest: Digest): string {
  return `${path}@${algorithmOf(digest)}=${encodedOf(digest)}`;
}

/** The place of the `n`th signature, or of all of them, as people may read it. */
export function shownSignature(
  base: string,
  repository: Repository,
  digest: Digest,
  n: number | "N",
): string {
  return escapeText(shown(urlBelow(parseBase(base), repository, digest, n)), 2000);
}

/** The base as people may read it: without a user, and what is behind a question mark. */
export function shownLookaside(base: string): string {
  const bare = withoutSecrets(base)
    .replace("[redacted]", "…")
    .replace(/[?#].*$/s, (rest) => `${rest[0]}…`);
  return escapeText(bare, 160);
}

/** Whether signatures can be read from `base`. */
export function isLookaside(base: string): boolean {
  return readBase(base) !== undefined;
}

/** The folder of a base of `file:` if it is not there at all. */
export async function missingFolder(base: string): Promise<string | undefined> {
  const url = readBase(base);
  if (url?.protocol !== "file:") return undefined;
  const path = fileURLToPath(new URL(url.pathname, "file:"));
  try {
    await stat(path);
    return undefined;
  } catch (cause) {
    return hasErrorCode(cause, "ENOENT", "ENOTDIR") ? path : undefined;
  }
}

/** What reading needs. */
export interface ReadLookasideOptions {
  /** File, line and key that say so, for whoever has to correct it. */
  readonly statedIn?: string | undefined;
  readonly fetchUrl: UrlFetcher;
  readonly budget: SignatureBudget;
  readonly signal?: AbortSignal | undefined;
}

/**
 * All signatures of a manifest. The first that is not there is the end; any other failure is one.
 *
 * @throws {@link PolicyError} `ERR_POLICY_SIGNATURES_UNAVAILABLE`,
 *   `ERR_POLICY_TOO_MANY_SIGNATURES`, `ERR_POLICY_SIGNATURE_INVALID`,
 *   `ERR_POLICY_INVALID_REGISTRIES_D`.
 */
export async function readLookaside(
  base: string,
  repository: Repository,
  digest: Digest,
  options: ReadLookasideOptions,
): Promise<readonly ImageSignature[]> {
  const { budget, signal, statedIn } = options;
  const root = parseBase(base, statedIn);
  const signatures: ImageSignature[] = [];
  for (let n = 1; ; n += 1) {
    signal?.throwIfAborted();
    const url = urlBelow(root, repository, digest, n);
    const failed = { location: shown(url), statedIn };
    const bytes = await (url.protocol === "file:"
      ? readSignatureFile(fileURLToPath(url), budget.maxBytes, failed)
      : fetchSignature(url, options));
    if (bytes === undefined) return signatures;
    budget.take(bytes.byteLength);
    try {
      signatures.push(parseSignatureBlob(bytes, shown(url)));
    } catch (error) {
      throw withPlace(error, statedIn);
    }
  }
}

function readBase(base: string): URL | undefined {
  const url = URL.parse(base);
  if (url === null || !["file:", "http:", "https:"].includes(url.protocol)) return undefined;
  const isLocal = url.protocol !== "file:" || url.host === "";
  return isLocal && url.username === "" && url.password === "" ? url : undefined;
}

function parseBase(base: string, statedIn?: string): URL {
  const url = readBase(base);
  if (url !== undefined) return url;
  const where = statedIn === undefined ? "" : `${escapeText(statedIn)}: `;
  throw new PolicyError(
    "ERR_POLICY_INVALID_REGISTRIES_D",
    `${where}"${shownLookaside(base)}" can be no lookaside`,
    {
      hint: "It is a URL of file:, https: or http:, without a user, as in file:///srv/signatures.",
    },
  );
}

async function fetchSignature(
  url: URL,
  { fetchUrl, budget, signal, statedIn }: ReadLookasideOptions,
): Promise<Uint8Array | undefined> {
  let redirected: URL | undefined;
  const failed = (): FailedLookaside => ({
    location: shown(url),
    statedIn,
    ...(redirected && { redirected: shown(redirected) }),
  });
  const asked = fetchUrl(url, {
    maxBytes: budget.maxBytes,
    signal,
    onRedirect: (to) => (redirected = to),
  });
  const { status, bytes } = await asked.catch((error: unknown) => {
    throw exchangeFailed(error, redirected ?? url, failed());
  });
  if (status === 404) return undefined;
  if (status !== 200) throw statusFailed(status, bytes, redirected ?? url, failed());
  if (bytes.byteLength > budget.maxBytes) throw tooLong();
  if (isWebPage(bytes))
    throw noSignature("answers with a web page, not with a signature", failed());
  return bytes;
}

// What is behind the question mark may be a secret.
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
