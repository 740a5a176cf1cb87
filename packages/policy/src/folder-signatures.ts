import { join } from "node:path";

import { type Digest, encodedOf } from "@stowage/content";

import type { FoundSignatures } from "./ports.ts";
import { parseSignatureBlob } from "./signature-blob.ts";
import { SignatureBudget } from "./signature-budget.ts";
import { readSignatureFile } from "./signature-file.ts";
import type { ImageSignature } from "./signature.ts";

/** How {@link readFolderSignatures} looks. */
export interface FolderSignaturesOptions {
  /** The one image of an index that is meant; its files have its digest in their names. */
  readonly instance?: Digest | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The signatures that lie beside an image in a plain folder (`dir:`): `signature-1` and so on, the
 * first that is not there being the end.
 *
 * @throws {@link PolicyError} `ERR_POLICY_SIGNATURES_UNAVAILABLE`,
 *   `ERR_POLICY_TOO_MANY_SIGNATURES`, `ERR_POLICY_SIGNATURE_INVALID`.
 * @see https://github.com/containers/image/blob/v5.36.0/docs/containers-transports.5.md
 */
export async function readFolderSignatures(
  path: string,
  { instance, signal }: FolderSignaturesOptions = {},
): Promise<FoundSignatures> {
  const prefix = instance === undefined ? "" : `${encodedOf(instance)}.`;
  const budget = new SignatureBudget();
  const signatures: ImageSignature[] = [];
  for (let n = 1; ; n += 1) {
    signal?.throwIfAborted();
    const file = join(path, `${prefix}signature-${n}`);
    const bytes = await readSignatureFile(file, budget.maxBytes);
    if (bytes === undefined) {
      const location = join(path, `${prefix}signature-N`);
      return { signatures, places: [{ kind: "folder", location, found: signatures.length }] };
    }
    budget.take(bytes.byteLength);
    signatures.push(parseSignatureBlob(bytes, file));
  }
}
