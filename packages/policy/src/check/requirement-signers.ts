import { hasErrorCode } from "@stowage/content";

import type { PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import { readSignedByKeys } from "../requirement/requirement-signed-by.ts";
import { readBundleMaterial } from "../sigstore/judge-sigstore-bundle.ts";
import { readTrust } from "../sigstore/sigstore-trust.ts";

/**
 * Who can meet a requirement, each as people know it, and what else they would have to sign: of two
 * requirements that have one in common, one signature may meet both. Keys that are none are left out,
 * and authorities that vouch for anybody.
 */
export async function signersOf(
  requirement: PolicyRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  try {
    return await readSigners(requirement, readKeyFile, signal);
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
    return [];
  }
}

async function readSigners(
  requirement: PolicyRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const how = { readKeyFile, signal };
  switch (requirement.type) {
    case "signedBy": {
      const keys = await readSignedByKeys(requirement, how);
      return keys.map(({ key }) => `the OpenPGP key ${key.getFingerprint().toUpperCase()}`);
    }
    case "sigstoreSigned":
      return (await readTrust(requirement, how)).keys.map(({ label }) => label);
    case "sigstoreBundle": {
      const { predicateType, builderId } = requirement;
      const what = predicateType === undefined ? "" : `, for ${predicateType} ${builderId ?? ""}`;
      if ("identity" in requirement) {
        const { issuer, ...names } = requirement.identity;
        return [`${Object.values(names).join()}, as ${issuer} says${what}`];
      }
      const { keys } = await readBundleMaterial(requirement, how);
      return keys.map(({ label }) => label + what);
    }
    case "anyOf": {
      const parts = requirement.requirements.map((part) => signersOf(part, readKeyFile, signal));
      // Who cannot meet it alone is no matter.
      return (requirement.threshold ?? 1) === 1 ? (await Promise.all(parts)).flat() : [];
    }
    default:
      return [];
  }
}
