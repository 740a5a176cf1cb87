import { hasErrorCode } from "@stowage/content";

import { readBundleMaterial } from "./judge-sigstore-bundle.ts";
import type { PolicyRequirement } from "./policy.ts";
import type { KeyFileReader } from "./ports.ts";
import { readSignedByKeys } from "./requirement-signed-by.ts";
import { readTrust } from "./sigstore-trust.ts";

/** What is wrong with the keys and certificates that a requirement names. */
export async function invalidKeysOf(
  requirement: PolicyRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly Error[]> {
  if (requirement.type === "anyOf" || requirement.type === "audit") {
    const found: Error[] = [];
    for (const inner of requirement.requirements) {
      found.push(...(await invalidKeysOf(inner, readKeyFile, signal)));
    }
    return found;
  }
  try {
    await readKeysOf(requirement, readKeyFile, signal);
    return [];
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
    return [error];
  }
}

async function readKeysOf(
  requirement: PolicyRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<void> {
  switch (requirement.type) {
    case "signedBy":
      await readSignedByKeys(requirement, { readKeyFile, signal });
      return;
    case "sigstoreSigned":
      await readTrust(requirement, { readKeyFile, signal });
      return;
    case "sigstoreBundle":
      await readBundleMaterial(requirement, { readKeyFile, signal });
      return;
    default:
  }
}
