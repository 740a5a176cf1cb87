import type { FoundSignatures } from "../ports.ts";
import { parseSignatureBlob } from "./signature-blob.ts";
import { SignatureBudget } from "./signature-budget.ts";

/**
 * Takes the files that lie beside an image on this machine (`dir:`, podman's store) for what they
 * are.
 *
 * @param location - Where they lie, for people.
 * @throws {@link PolicyError} `ERR_POLICY_TOO_MANY_SIGNATURES`, `ERR_POLICY_SIGNATURE_INVALID`.
 */
export function readSignatureFiles(
  files: readonly Uint8Array[],
  location: string,
): FoundSignatures {
  const budget = new SignatureBudget();
  const signatures = files.map((bytes, at) => {
    budget.take(bytes.byteLength);
    return parseSignatureBlob(bytes, `${location}: signature ${at + 1}`);
  });
  return { signatures, places: [{ kind: "folder", location, found: signatures.length }] };
}
