import type { PolicyShape } from "../internal/policy-shape.ts";
import type { KeyMaterialSource } from "./key-material.ts";

/** One of several ways to give the keys of signers: file, files, or base64 data, once or more. */
export type SignerKeys =
  | { readonly keyPath: string }
  | { readonly keyPaths: readonly string[] }
  | { readonly keyData: string }
  | { readonly keyDatas: readonly string[] };

export const SIGNER_KEYS = ["keyPath", "keyPaths", "keyData", "keyDatas"] as const;

export function parseSignerKeys(
  shape: PolicyShape,
  source: (typeof SIGNER_KEYS)[number],
): SignerKeys {
  switch (source) {
    case "keyPath":
      return { keyPath: shape.filledString(source) };
    case "keyPaths":
      return { keyPaths: shape.filledStrings(source) };
    case "keyData":
      return { keyData: shape.base64(source) };
    case "keyDatas":
      return { keyDatas: shape.filledBase64List(source) };
  }
}

/** Where to read them. */
export function signerKeySource(keys: SignerKeys): KeyMaterialSource {
  if ("keyPath" in keys) return { paths: [keys.keyPath] };
  if ("keyPaths" in keys) return { paths: keys.keyPaths };
  if ("keyData" in keys) return { datas: [keys.keyData] };
  return { datas: keys.keyDatas, dataName: "keyDatas" };
}
