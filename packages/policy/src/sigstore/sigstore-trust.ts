/**
 * The keys and certificates that a requirement for sigstore signatures names.
 *
 * @module
 */
import { type Certificate, readCertificates } from "./certificate.ts";
import type { JudgeContext } from "../signature/judge-signatures.ts";
import {
  invalidKey,
  type KeyMaterial,
  type KeyMaterialSource,
  readKeyMaterial,
} from "../key/key-material.ts";
import type {
  SigstoreFulcio,
  SigstorePki,
  SigstoreRekor,
  SigstoreSignedRequirement,
} from "../requirement/requirement-sigstore-signed.ts";
import { signerKeySource } from "../key/signer-keys.ts";
import { readSigstoreKeys, type SigstoreKey } from "./sigstore-key.ts";

/** Everything that a requirement trusts, read. */
interface ReadTrust {
  readonly keys: readonly SigstoreKey[];
  readonly logKeys: readonly SigstoreKey[];
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
}

/** @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` */
export async function readTrust(
  requirement: SigstoreSignedRequirement,
  { readKeyFile, signal }: Pick<JudgeContext, "readKeyFile" | "signal">,
): Promise<ReadTrust> {
  const readKeys = async (source: KeyMaterialSource): Promise<readonly SigstoreKey[]> =>
    readSigstoreKeys(await readKeyMaterial(source, readKeyFile, signal));
  const readAuthorities = async (source: KeyMaterialSource): Promise<readonly Certificate[]> =>
    readRoots(await readKeyMaterial(source, readKeyFile, signal));
  const none = { keys: [], roots: [], intermediates: [] };
  const logKeys = await readKeys(logSource(requirement));
  if ("fulcio" in requirement) {
    return { ...none, logKeys, roots: await readAuthorities(rootSource(requirement.fulcio)) };
  }
  if ("pki" in requirement) {
    const roots = await readAuthorities(pkiRootSource(requirement.pki));
    const intermediates = await readAuthorities(pkiIntermediateSource(requirement.pki));
    return { ...none, logKeys, roots, intermediates };
  }
  return { ...none, logKeys, keys: await readKeys(signerKeySource(requirement)) };
}

/** @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` */
function readRoots(materials: readonly KeyMaterial[]): readonly Certificate[] {
  return materials.flatMap(({ name, bytes }) => {
    try {
      return readCertificates(Buffer.from(bytes).toString("latin1"));
    } catch (cause) {
      throw invalidKey(name, "holds no certificates in PEM that can be trusted", { cause });
    }
  });
}

function pkiRootSource(pki: SigstorePki): KeyMaterialSource {
  return "caRootsPath" in pki
    ? { paths: [pki.caRootsPath] }
    : { datas: [pki.caRootsData], dataName: "caRootsData" };
}

function pkiIntermediateSource(pki: SigstorePki): KeyMaterialSource {
  const { caIntermediatesPath: path, caIntermediatesData: data } = pki;
  return {
    paths: path === undefined ? [] : [path],
    datas: data === undefined ? [] : [data],
    dataName: "caIntermediatesData",
  };
}

function rootSource(fulcio: SigstoreFulcio): KeyMaterialSource {
  return "caPath" in fulcio
    ? { paths: [fulcio.caPath] }
    : { datas: [fulcio.caData], dataName: "caData" };
}

function logSource(rekor: SigstoreRekor): KeyMaterialSource {
  const { rekorPublicKeyPath: path, rekorPublicKeyData: data } = rekor;
  return {
    paths: [...(path ? [path] : []), ...(rekor.rekorPublicKeyPaths ?? [])],
    datas: [...(data ? [data] : []), ...(rekor.rekorPublicKeyDatas ?? [])],
    dataName: rekor.rekorPublicKeyDatas ? "rekorPublicKeyDatas" : "rekorPublicKeyData",
  };
}
