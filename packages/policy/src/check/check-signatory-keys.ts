import { hasErrorCode } from "@stowage/content";
import type { PublicKey } from "openpgp";

import type { PolicyProblem } from "./policy-problem.ts";
import { signersOf } from "./requirement-signers.ts";
import type { PolicyRequirement } from "../policy.ts";
import type { KeyFileReader } from "../ports.ts";
import {
  readSignedByKeys,
  type SignedByRequirement,
} from "../requirement/requirement-signed-by.ts";
import { shownScope } from "../scope/shown-scope.ts";
import type { NamedKey } from "../signature/openpgp-signature.ts";

/** Finds keys that are keys and can never count, and thresholds that there are not signers enough for. */
export async function checkSignatoryKeys(
  requirement: PolicyRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  if (requirement.type === "signedBy" && requirement.keyType === "GPGKeys")
    return await checkOpenPgpKeys(requirement, path, readKeyFile, signal);
  if (requirement.type !== "sigstoreBundle") return [];
  const { threshold = 1 } = requirement;
  if (threshold === 1 || ("identity" in requirement && "subjectPattern" in requirement.identity))
    return [];
  const signers = new Set(await signersOf(requirement, readKeyFile, signal)).size;
  // What is no key is told of where the keys are read.
  if (signers === 0 || signers >= threshold) return [];
  const has = signers === 1 ? "only one has" : `only ${signers} have`;
  return [
    {
      severity: "error",
      path: `${path}.threshold`,
      problem: `is ${threshold}, but it names no more different signers than ${signers}: it denies every image`,
      remedy: `Name as many signers as are needed, of whom it ${has} to be different now, or make it ${signers}.`,
    },
  ];
}

async function checkOpenPgpKeys(
  requirement: SignedByRequirement,
  path: string,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly PolicyProblem[]> {
  const problems: PolicyProblem[] = [];
  for (const { key, name } of await keysOf(requirement, readKeyFile, signal)) {
    const why = await whyNever(key, new Date());
    if (why === undefined) continue;
    problems.push({
      severity: "warning",
      path,
      problem: `has the OpenPGP key ${key.getFingerprint().toUpperCase()} of ${shownScope(name)}, and no signature by it counts: ${why}`,
      remedy:
        "Have its owner renew it, or make another, and put there what gpg --armor --export writes then.",
    });
  }
  return problems;
}

async function keysOf(
  requirement: SignedByRequirement,
  readKeyFile: KeyFileReader,
  signal: AbortSignal | undefined,
): Promise<readonly NamedKey[]> {
  try {
    return await readSignedByKeys(requirement, { readKeyFile, signal });
  } catch (error) {
    if (!hasErrorCode(error, "ERR_POLICY_INVALID_KEY")) throw error;
    return [];
  }
}

/** What checking a signature by it would come to, whatever it signs. */
async function whyNever(key: PublicKey, now: Date): Promise<string | undefined> {
  try {
    await key.verifyPrimaryKey(now);
    await key.getSigningKey(undefined, now);
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message.slice(0, 160) : String(cause);
  }
}
