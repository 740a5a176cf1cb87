import { createHash } from "node:crypto";

import type { Bundle } from "@sigstore/bundle";

import { requireSameVerifier } from "./bundle-entry.ts";
import type { RequirementSpot } from "../requirement/requirement-spot.ts";
import { type ReadBundle, withLog, withoutLog } from "./read-bundle.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";
import { otherSigstoreKeyRemedy, type SigstoreKey } from "./sigstore-key.ts";
import { EMPTY_ROOT, type TrustedRoot } from "./trusted-root.ts";
import { verifyBundle } from "./verify-bundle.ts";

/**
 * Resolves to who signed: one of these keys. With a root, one of its logs must vouch for it.
 *
 * @throws SignatureRejection that says what is wrong with the bundle, and not only that it is by none
 *   of the keys.
 */
export async function verifyByKeys(
  bundle: Bundle,
  { keys, root }: { readonly keys: readonly SigstoreKey[]; readonly root: TrustedRoot | undefined },
  { now, spot }: { readonly now: Date; readonly spot: RequirementSpot },
): Promise<string> {
  if (bundle.verificationMaterial.content.$case !== "publicKey") {
    throw new SignatureRejection("untrusted", "it is by an identity, and not by a bare key", {
      remedy:
        'Use a requirement {"type": "sigstoreBundle", "identity": {"issuer": …, "subject": …}, "trustedRootPath": …} of whoever is to sign it, without a key.',
    });
  }
  const asked = root === undefined ? withoutLog(bundle) : withLog(bundle, now);
  const failures: (readonly [SigstoreKey, SignatureRejection])[] = [];
  for (const key of keys) {
    const failure = await failureBy(key, asked, root);
    if (failure === undefined) return key.label;
    failures.push([key, failure]);
  }
  throw await reasonOf(bundle, otherSigstoreKeyRemedy(keys, spot), failures);
}

async function failureBy(
  key: SigstoreKey,
  asked: ReadBundle,
  root: TrustedRoot | undefined,
): Promise<SignatureRejection | undefined> {
  const threshold = root === undefined ? 0 : 1;
  const thresholds = { ctlogThreshold: 0, tlogThreshold: threshold, timestampThreshold: threshold };
  try {
    await verifyBundle(asked, root ?? EMPTY_ROOT, key, thresholds);
    requireSameVerifier(asked.bundle, key.der);
    return undefined;
  } catch (error) {
    if (!(error instanceof SignatureRejection)) throw error;
    return error;
  }
}

/** Only looks for words: nothing counts any more. */
async function reasonOf(
  bundle: Bundle,
  remedy: string,
  failures: readonly (readonly [SigstoreKey, SignatureRejection])[],
): Promise<SignatureRejection> {
  for (const [key, failure] of failures) {
    // Whose key fits is who signed: what is missing is something else.
    if ((await failureBy(key, withoutLog(bundle), undefined)) === undefined) return failure;
  }
  const [, changed] = failures.find(([, { cause }]) => isAboutOther(cause)) ?? [];
  if (changed !== undefined) return changed;
  const [named, failure] = failures.find(([{ der }]) => hintOf(bundle) === fingerprint(der)) ?? [];
  if (named !== undefined && failure !== undefined) {
    return new SignatureRejection(
      "malformed",
      `it names ${named.label}, but its signature is not by that key over its payload`,
      {
        cause: failure,
        remedy:
          "Fetch the bundle again, or have the image signed again: it was changed since, or somebody else signed in that name.",
      },
    );
  }
  return new SignatureRejection("untrusted", "it is by none of the policy's keys", {
    cause: failures.at(-1)?.[1],
    remedy,
    isOtherKey: true,
  });
}

function isAboutOther(cause: unknown): boolean {
  return (cause as { code?: unknown } | undefined)?.code === "TLOG_BODY_ERROR";
}

function hintOf({ verificationMaterial }: Bundle): string | undefined {
  const { content } = verificationMaterial;
  return content.$case === "publicKey" ? content.publicKey.hint : undefined;
}

/** As cosign writes the hint at a key. */
function fingerprint(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("base64");
}
