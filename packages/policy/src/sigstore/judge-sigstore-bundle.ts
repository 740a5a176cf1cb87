/**
 * Sigstore bundles: who signed is for the sigstore project's own verifier to say, what it means for
 * an image is said here.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto
 * @module
 */
import type { Bundle } from "@sigstore/bundle";
import { escapeText } from "@stowage/content";

import { requireSameVerifier } from "./bundle-entry.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { requireChain } from "./certificate-chain.ts";
import { verifyByKeys } from "./judge-bundle-keys.ts";
import {
  type AcceptedSignature,
  type JudgeContext,
  judgeSignatures,
} from "../signature/judge-signatures.ts";
import { readKeyMaterial } from "../key/key-material.ts";
import { readBundle, withLog } from "./read-bundle.ts";
import type {
  BundleIdentity,
  SigstoreBundleRequirement,
} from "../requirement/requirement-sigstore-bundle.ts";
import type { BundleSignature } from "../signature/signature.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";
import { shownIdentity } from "../scope/shown-scope.ts";
import { signerKeySource } from "../key/signer-keys.ts";
import { readSigstoreKeys, type SigstoreKey } from "./sigstore-key.ts";
import { requireStatement } from "./statement.ts";
import { compilePattern, type Subject } from "./subject-pattern.ts";
import { EMPTY_ROOT, parseTrustedRoot, type TrustedRoot } from "./trusted-root.ts";
import type { RequirementVerdict } from "../verdict.ts";
import { verifyBundle } from "./verify-bundle.ts";

/** What a requirement trusts, read. */
export interface BundleMaterial {
  readonly root: TrustedRoot | undefined;
  readonly keys: readonly SigstoreKey[];
}

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
  const source = "identity" in requirement ? {} : signerKeySource(requirement);
  const keys = readSigstoreKeys(await readKeyMaterial(source, readKeyFile, signal));
  return { root: root && parseTrustedRoot(root), keys };
}

async function check(
  { bytes }: BundleSignature,
  requirement: SigstoreBundleRequirement,
  material: BundleMaterial,
  context: JudgeContext,
): Promise<AcceptedSignature> {
  const bundle = await readBundle(bytes);
  const signer =
    "identity" in requirement
      ? await byIdentity(bundle, requirement.identity, material, context.now)
      : await verifyByKeys(bundle, material, context);
  const { content } = bundle;
  if (content.$case !== "dsseEnvelope") refuse("it makes no statement about an image");
  requireStatement(content.dsseEnvelope, requirement, context.manifestDigest);
  return { signer };
}

async function byIdentity(
  bundle: Bundle,
  identity: BundleIdentity,
  { root = EMPTY_ROOT }: BundleMaterial,
  now: Date,
): Promise<string> {
  const { content } = bundle.verificationMaterial;
  if (content.$case !== "certificate") {
    throw new SignatureRejection("untrusted", "it is by a bare key, and not by an identity", {
      remedy:
        'Use a requirement {"type": "sigstoreBundle", "keyPath": …} with the key of whoever is to sign it, without an identity.',
    });
  }
  const leaf = parseCertificate(content.certificate.rawBytes);
  const signer = await verifyBundle(withLog(bundle, now), root, undefined, {
    ctlogThreshold: root.ctlogs.length > 0 ? 1 : 0,
    tlogThreshold: 1,
    timestampThreshold: 1,
  });
  requireSameVerifier(bundle, leaf.der);
  requirePurpose(leaf, root);
  const [subject] = subjectsOf(leaf);
  if (leaf.nameCount !== 1 || subject === undefined) refuse("its certificate is not for one name");
  const issuer = signer.identity?.extensions?.issuer;
  const label = `${subject.text}, as ${issuer ?? "nobody"} says`;
  if (issuer !== identity.issuer || !isSubject(identity, subject)) {
    const wanted = "subject" in identity ? identity.subject : identity.subjectPattern;
    throw new SignatureRejection("untrusted", `it is by ${escapeText(label)}`, {
      remedy: `The policy trusts ${shownIdentity(wanted)}, as ${shownIdentity(identity.issuer)} says. If the other is right, change its identity.`,
    });
  }
  return label;
}

/** The verifier asks who issued the certificate and when, and not what for. */
function requirePurpose(leaf: Certificate, { certificateAuthorities }: TrustedRoot): void {
  let failure: SignatureRejection | undefined;
  for (const { certChain } of certificateAuthorities) {
    try {
      const chain = (certChain?.certificates ?? []).map(({ rawBytes }) =>
        parseCertificate(rawBytes),
      );
      const roots = chain.slice(-1);
      // It was good at each time that somebody vouches for, which is what the verifier has seen to.
      requireChain(leaf, { roots, intermediates: chain.slice(0, -1), at: leaf.notBefore });
      return;
    } catch (error) {
      if (!(error instanceof SignatureRejection)) throw error;
      // That of the authority that it comes from says more than that another is none.
      if (failure === undefined || error.fault === "malformed") failure = error;
    }
  }
  throw failure ?? new SignatureRejection("untrusted", "the root has no authorities");
}

function subjectsOf({ emails, uris }: Certificate): readonly Subject[] {
  return [
    ...uris.map((text) => ({ kind: "uri", text }) as const),
    ...emails.map((text) => ({ kind: "email", text }) as const),
  ];
}

function isSubject(identity: BundleIdentity, subject: Subject): boolean {
  if ("subjectPattern" in identity)
    return compilePattern(identity.subjectPattern)?.(subject) ?? false;
  // An address that stands where URIs do is nobody's.
  const kind = /^[a-z][a-z0-9+.-]*:/i.test(identity.subject) ? "uri" : "email";
  return subject.kind === kind && identity.subject === subject.text;
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
