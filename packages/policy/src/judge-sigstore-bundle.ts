/**
 * Sigstore bundles: who signed is for the sigstore project's own verifier to say, what it means for
 * an image is said here.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto
 * @module
 */
import type { Bundle } from "@sigstore/bundle";
import type { Signer, Verifier } from "@sigstore/verify";
import { errorKind, escapeText, type JsonValue, parseJsonDocument } from "@stowage/content";

import { requireSameVerifier } from "./bundle-entry.ts";
import { parseCertificate } from "./certificate.ts";
import { type AcceptedSignature, type JudgeContext, judgeSignatures } from "./judge-signatures.ts";
import { readKeyMaterial } from "./key-material.ts";
import type {
  BundleIdentity,
  BundleTrust,
  SigstoreBundleRequirement,
} from "./requirement-sigstore-bundle.ts";
import type { BundleSignature } from "./signature.ts";
import { SignatureRejection } from "./signature-rejection.ts";
import { readSigstoreKeys, type SigstoreKey } from "./sigstore-key.ts";
import { requireStatement } from "./statement.ts";
import { compilePattern } from "./subject-pattern.ts";
import { parseTrustedRoot, type TrustedRoot } from "./trusted-root.ts";
import type { RequirementVerdict } from "./verdict.ts";

/** What a requirement trusts, read. */
export interface BundleMaterial {
  readonly root: TrustedRoot | undefined;
  readonly keys: readonly SigstoreKey[];
}

const EMPTY_ROOT: TrustedRoot = {
  mediaType: "",
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};
/** A text that ends with an empty line, and its signatures, a line each. */
const CHECKPOINT = /^(?:[^\n]+\n){3,}\n(?:\u2014 [^\s]+ [A-Za-z0-9+/]+=*\n)+$/;
const MEDIA_TYPES = [
  "application/vnd.dev.sigstore.bundle.v0.3+json",
  "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
const MAX_AHEAD_MS = 10 * 60 * 1000;

/** Judges by keys and roots as they are now: who evaluates again reads them again. */
export async function judgeSigstoreBundle(
  requirement: SigstoreBundleRequirement,
  context: JudgeContext,
): Promise<RequirementVerdict> {
  const material = await readBundleMaterial(requirement, context);
  return await judgeSignatures(context, {
    type: "sigstoreBundle",
    format: "sigstore-bundle",
    noun: "sigstore bundle",
    threshold: requirement.threshold,
    check: (signature) => check(signature, requirement, material, context),
  });
}

/** @throws {@link PolicyError} `ERR_POLICY_INVALID_KEY` */
export async function readBundleMaterial(
  requirement: SigstoreBundleRequirement,
  { readKeyFile, signal }: Pick<JudgeContext, "readKeyFile" | "signal">,
): Promise<BundleMaterial> {
  const { trustedRootPath: path, trustedRootData: data } = requirement;
  const [root] = await readKeyMaterial(
    {
      paths: path === undefined ? [] : [path],
      datas: data === undefined ? [] : [data],
      dataName: "trustedRootData",
    },
    readKeyFile,
    signal,
  );
  const keys = readSigstoreKeys(await readKeyMaterial(keySource(requirement), readKeyFile, signal));
  return { root: root && parseTrustedRoot(root), keys };
}

async function check(
  { bytes }: BundleSignature,
  requirement: SigstoreBundleRequirement,
  material: BundleMaterial,
  context: JudgeContext,
): Promise<AcceptedSignature> {
  const bundle = await readBundle(bytes);
  requireTimes(bundle, context.now);
  requireProofs(bundle);
  const signer =
    "identity" in requirement
      ? await byIdentity(bundle, requirement.identity, material)
      : await byKeys(bundle, material);
  const { content } = bundle;
  if (content.$case !== "dsseEnvelope") refuse("it signs no statement about an image");
  requireStatement(content.dsseEnvelope, requirement, context.manifestDigest);
  return { signer };
}

async function readBundle(bytes: Uint8Array): Promise<Bundle> {
  const { assertBundleLatest, bundleFromJSON } = await import("@sigstore/bundle");
  // First by a reader that lets nothing be read in two ways.
  const json = readJson(bytes);
  try {
    const bundle = bundleFromJSON(json);
    if (!MEDIA_TYPES.includes(bundle.mediaType)) throw new Error("it is of another media type");
    const requireLatest: (bundle: Bundle) => void = assertBundleLatest;
    if (bundle.verificationMaterial.tlogEntries.length > 0) requireLatest(bundle);
    return bundle;
  } catch (cause) {
    throw malformed("it is no bundle of version 0.3", cause);
  }
}

// A time that is still to come was not told by a clock.
function requireTimes({ verificationMaterial }: Bundle, now: Date): void {
  for (const { integratedTime } of verificationMaterial.tlogEntries) {
    if (Number(integratedTime) * 1000 > now.getTime() + MAX_AHEAD_MS) {
      refuse("its log entry is from the future");
    }
  }
}

// The verifier goes by the signed checkpoint alone; what is said beside it must not differ.
function requireProofs({ verificationMaterial }: Bundle): void {
  for (const { inclusionProof } of verificationMaterial.tlogEntries) {
    if (inclusionProof === undefined) continue;
    const { treeSize, rootHash, checkpoint } = inclusionProof;
    const envelope = checkpoint?.envelope ?? "";
    const [, size, root] = envelope.split("\n");
    if (!CHECKPOINT.test(envelope)) refuse("its checkpoint is malformed");
    if (treeSize !== size || rootHash.toString("base64") !== root) {
      refuse("its proof differs from the checkpoint");
    }
  }
}

async function byIdentity(
  bundle: Bundle,
  identity: BundleIdentity,
  { root = EMPTY_ROOT }: BundleMaterial,
): Promise<string> {
  const { content } = bundle.verificationMaterial;
  if (content.$case !== "certificate") {
    throw new SignatureRejection("untrusted", "it is by a bare key, and not by an identity", {
      remedy: "Use a requirement sigstoreBundle with that key.",
    });
  }
  const leaf = parseCertificate(content.certificate.rawBytes);
  const signer = await verify(bundle, root, undefined, {
    ctlogThreshold: root.ctlogs.length > 0 ? 1 : 0,
    tlogThreshold: 1,
    timestampThreshold: 1,
  });
  requireSameVerifier(bundle, leaf.der);
  const names = [...leaf.uris, ...leaf.emails];
  const [subject] = names;
  if (leaf.nameCount !== 1 || subject === undefined) refuse("its certificate is not for one name");
  const issuer = signer.identity?.extensions?.issuer;
  const label = `${subject}, as ${issuer ?? "nobody"} says`;
  if (issuer !== identity.issuer || !isSubject(identity, subject)) {
    const wanted = "subject" in identity ? identity.subject : identity.subjectPattern;
    throw new SignatureRejection("untrusted", `it is by ${escapeText(label)}`, {
      remedy: `The policy trusts ${wanted}, as ${identity.issuer} says. If the other is right, change its identity.`,
    });
  }
  return label;
}

function isSubject(identity: BundleIdentity, subject: string): boolean {
  if ("subject" in identity) return identity.subject === subject;
  return compilePattern(identity.subjectPattern)?.(subject) ?? false;
}

async function byKeys(bundle: Bundle, { root, keys }: BundleMaterial): Promise<string> {
  if (bundle.verificationMaterial.content.$case !== "publicKey") {
    throw new SignatureRejection("untrusted", "it is by an identity, and not by a bare key", {
      remedy: "Use a requirement sigstoreBundle with an identity.",
    });
  }
  const threshold = root === undefined ? 0 : 1;
  const thresholds = { ctlogThreshold: 0, tlogThreshold: threshold, timestampThreshold: threshold };
  // Entries of a log that nobody told about prove nothing, and are not asked for.
  const asked = root === undefined ? withoutLog(bundle) : bundle;
  let failure: unknown;
  for (const key of keys) {
    try {
      await verify(asked, root ?? EMPTY_ROOT, key, thresholds);
      requireSameVerifier(asked, key.der);
      return key.label;
    } catch (error) {
      failure = error;
    }
  }
  throw new SignatureRejection("untrusted", "it is by none of the policy's keys", {
    cause: failure,
    remedy: "Have it signed by a key of the policy, or add the signer's public key to the policy.",
  });
}

function withoutLog(bundle: Bundle): Bundle {
  const { verificationMaterial } = bundle;
  const material = {
    ...verificationMaterial,
    tlogEntries: [],
    timestampVerificationData: undefined,
  };
  return { ...bundle, verificationMaterial: material };
}

async function verify(
  bundle: Bundle,
  root: TrustedRoot,
  key: SigstoreKey | undefined,
  thresholds: ConstructorParameters<typeof Verifier>[1],
): Promise<Signer> {
  const { toSignedEntity, toTrustMaterial, Verifier } = await import("@sigstore/verify");
  try {
    const trust = toTrustMaterial(root, () => {
      if (key === undefined) throw new Error("no keys are trusted");
      return { publicKey: key.key, validFor: () => true };
    });
    return new Verifier(trust, thresholds).verify(toSignedEntity(bundle));
  } catch (cause) {
    throw malformed(
      `it does not hold (${cause instanceof Error ? cause.message : String(cause)})`,
      cause,
    );
  }
}

function keySource(trust: BundleTrust): Parameters<typeof readKeyMaterial>[0] {
  if ("keyPath" in trust) return { paths: [trust.keyPath] };
  if ("keyPaths" in trust) return { paths: trust.keyPaths };
  if ("keyData" in trust) return { datas: [trust.keyData] };
  if ("keyDatas" in trust) return { datas: trust.keyDatas, dataName: "keyDatas" };
  return {};
}

function readJson(bytes: Uint8Array): JsonValue {
  try {
    return parseJsonDocument(bytes);
  } catch (cause) {
    if (errorKind(cause) === undefined) throw cause;
    throw malformed("it is no JSON document", cause);
  }
}

function malformed(reason: string, cause: unknown): SignatureRejection {
  return new SignatureRejection("malformed", escapeText(reason, 300), { cause });
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
