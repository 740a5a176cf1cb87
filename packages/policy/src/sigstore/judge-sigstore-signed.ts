import type { Certificate } from "./certificate.ts";
import { extensionText, readCertificates } from "./certificate.ts";
import { requireChain } from "./certificate-chain.ts";
import {
  type AcceptedSignature,
  type JudgeContext,
  judgeSignatures,
  requireClaims,
} from "../signature/judge-signatures.ts";
import { type RequirementSpot, requirementAt, showSpot } from "../requirement/requirement-spot.ts";
import type {
  SigstoreFulcio,
  SigstorePki,
  SigstoreSignedRequirement,
} from "../requirement/requirement-sigstore-signed.ts";
import { shownIdentity } from "../scope/shown-scope.ts";
import { COSIGN_SIGNATURE_TYPE, type SigstoreSignature } from "../signature/signature.ts";
import { parseSignaturePayload } from "../signature/signature-payload.ts";
import { SignatureRejection } from "../signature/signature-rejection.ts";
import {
  decodeBase64Lines,
  otherSigstoreKeyRemedy,
  type SigstoreKey,
  sigstoreKey,
  verifySignature,
} from "./sigstore-key.ts";
import { requireLogged } from "./sigstore-rekor.ts";
import { readTrust } from "./sigstore-trust.ts";
import type { RequirementVerdict } from "../verdict.ts";

/** Says who signed, or throws a {@link SignatureRejection}. */
type Authenticate = (signature: SigstoreSignature, bytes: Uint8Array) => string;

const ANNOTATION = {
  signature: "dev.cosignproject.cosign/signature",
  certificate: "dev.sigstore.cosign/certificate",
  chain: "dev.sigstore.cosign/chain",
  bundle: "dev.sigstore.cosign/bundle",
} as const;
const ISSUER_V1 = "1.3.6.1.4.1.57264.1.1";
const ISSUER_V2 = "1.3.6.1.4.1.57264.1.8";
const MAX_SIGNATURE_TEXT = 64 * 1024;

/** Judges by keys and authorities as they are now: who evaluates again reads them again. */
export async function judgeSigstoreSigned(
  requirement: SigstoreSignedRequirement,
  context: JudgeContext,
): Promise<RequirementVerdict> {
  const authenticate = await authenticator(requirement, context);
  return await judgeSignatures(context, {
    type: "sigstoreSigned",
    format: "sigstore-attachment",
    noun: "sigstore signature",
    check: async (signature) => check(signature, authenticate, requirement, context),
  });
}

function check(
  signature: SigstoreSignature,
  authenticate: Authenticate,
  { signedIdentity }: SigstoreSignedRequirement,
  context: JudgeContext,
): AcceptedSignature {
  const { mimeType, payload, annotations } = signature;
  if (mimeType !== COSIGN_SIGNATURE_TYPE) refuse("it is of another type than signatures are");
  const text = annotations[ANNOTATION.signature];
  if (text === undefined) refuse(`it has no annotation ${ANNOTATION.signature}`);
  if (text.length > MAX_SIGNATURE_TEXT) refuse("its signature is too long");
  const signer = authenticate(signature, decodeBase64Lines(text, "its signature"));
  // Only now is the payload anybody's word.
  const claims = parseSignaturePayload(payload, "cosign container image signature");
  requireClaims(claims, signedIdentity, context);
  return { signer, identity: claims.dockerReference };
}

async function authenticator(
  requirement: SigstoreSignedRequirement,
  context: JudgeContext,
): Promise<Authenticate> {
  const { keys, logKeys, roots, intermediates } = await readTrust(requirement, context);
  if ("fulcio" in requirement) {
    const trust = { ...requirement.fulcio, roots, logKeys };
    return (signature, bytes) => byFulcio(signature, bytes, trust, context);
  }
  if ("pki" in requirement) {
    const trust = { ...requirement.pki, roots, intermediates };
    return (signature, bytes) => byPki(signature, bytes, trust, context.now);
  }
  return (signature, bytes) => byKey(signature, bytes, { keys, logKeys }, context);
}

function byKey(
  { payload, annotations }: SigstoreSignature,
  signature: Uint8Array,
  {
    keys,
    logKeys,
  }: { readonly keys: readonly SigstoreKey[]; readonly logKeys: readonly SigstoreKey[] },
  { now, spot }: JudgeContext,
): string {
  const signer = keys.find(({ key }) => verifySignature(payload, signature, key));
  if (signer === undefined) {
    throw new SignatureRejection("untrusted", "it is by none of the policy's keys", {
      remedy: otherSigstoreKeyRemedy(keys, spot),
      isOtherKey: true,
    });
  }
  if (logKeys.length > 0) {
    const logged = { payload, signature, verifier: signer.der };
    requireLogged(logEntryOf(annotations, unlessLogged(spot)), logKeys, logged, now);
  }
  return signer.label;
}

interface FulcioTrust extends Pick<SigstoreFulcio, "oidcIssuer" | "subjectEmail"> {
  readonly roots: readonly Certificate[];
  readonly logKeys: readonly SigstoreKey[];
}

function byFulcio(
  signature: SigstoreSignature,
  bytes: Uint8Array,
  { roots, logKeys, oidcIssuer, subjectEmail }: FulcioTrust,
  { now }: JudgeContext,
): string {
  const { payload, annotations } = signature;
  const leaf = leafOf(annotations);
  const logged = { payload, signature: bytes, verifier: leaf.der };
  // The certificate was good for minutes, so that only the log's word says that this was then.
  const at = requireLogged(logEntryOf(annotations, SIGN_WITH_LOG), logKeys, logged, now);
  requireChain(leaf, { roots, intermediates: intermediatesOf(annotations), at });
  const issuer = issuerOf(leaf);
  const [email] = leaf.emails;
  if (leaf.nameCount !== 1 || email === undefined)
    refuse("its certificate is not for one e-mail address");
  if (issuer !== oidcIssuer || email !== subjectEmail) {
    throw new SignatureRejection("untrusted", `it is by ${email}, as ${issuer} says`, {
      remedy: `The policy trusts ${shownIdentity(subjectEmail)}, as ${shownIdentity(oidcIssuer)} says. Workflows are named by URIs: use a requirement sigstoreBundle.`,
    });
  }
  requireSignature(payload, bytes, leaf);
  return `${email}, as ${issuer} says`;
}

interface PkiTrust extends Pick<SigstorePki, "subjectEmail" | "subjectHostname"> {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
}

function byPki(
  { payload, annotations }: SigstoreSignature,
  bytes: Uint8Array,
  { roots, intermediates, subjectEmail, subjectHostname }: PkiTrust,
  now: Date,
): string {
  const leaf = leafOf(annotations);
  const all = [...intermediates, ...intermediatesOf(annotations)];
  // Such authorities issue for all purposes as a rule, and write none.
  requireChain(leaf, { roots, intermediates: all, at: now, needsPurpose: false });
  const isEmail = subjectEmail === undefined || leaf.emails.includes(subjectEmail);
  const isHost =
    subjectHostname === undefined ||
    leaf.x509.checkHost(subjectHostname, { subject: "never" }) !== undefined;
  if (!isEmail || !isHost) {
    const names = leaf.x509.subjectAltName ?? "nobody";
    throw new SignatureRejection("untrusted", `it is by ${names}`, {
      remedy: `The policy trusts ${[subjectEmail ?? [], subjectHostname ?? []].flat().map(shownIdentity).join(" at ")}.`,
    });
  }
  requireSignature(payload, bytes, leaf);
  return [subjectEmail, subjectHostname].filter(Boolean).join(" at ");
}

function requireSignature(payload: Uint8Array, signature: Uint8Array, leaf: Certificate): void {
  if (verifySignature(payload, signature, sigstoreKey(leaf.x509.publicKey).key)) return;
  refuse("its signature does not hold");
}

function leafOf(annotations: Readonly<Record<string, string>>): Certificate {
  const text = annotations[ANNOTATION.certificate];
  if (text === undefined) {
    throw new SignatureRejection(
      "untrusted",
      "it has no certificate, so that it is by a bare key",
      {
        remedy: "Use a requirement sigstoreSigned with that key.",
      },
    );
  }
  const [leaf, more] = readCertificates(text);
  if (leaf === undefined || more !== undefined) refuse("it has not exactly one certificate");
  return leaf;
}

// The last one is to be the root, which is only ever the policy's.
function intermediatesOf(annotations: Readonly<Record<string, string>>): readonly Certificate[] {
  const text = annotations[ANNOTATION.chain];
  return text === undefined || text === "" ? [] : readCertificates(text).slice(0, -1);
}

function logEntryOf(annotations: Readonly<Record<string, string>>, remedy: string): string {
  const entry = annotations[ANNOTATION.bundle];
  if (entry !== undefined) return entry;
  throw new SignatureRejection(
    "untrusted",
    `it has no entry of a transparency log: there is no annotation ${ANNOTATION.bundle}`,
    { remedy },
  );
}

const SIGN_WITH_LOG =
  "Have the image signed with the log, as cosign sign does unless told otherwise.";

/** With a key, the log is only asked for if the policy names its key. */
function unlessLogged(spot: RequirementSpot): string {
  const asked = Object.keys(requirementAt(spot)).find((key) => key.startsWith("rekorPublicKey"));
  return `${SIGN_WITH_LOG} If no log is wanted, remove "${asked}" from ${showSpot(spot)}.`;
}

function issuerOf(leaf: Certificate): string {
  const old = extensionText(leaf, ISSUER_V1, "bare");
  const current = extensionText(leaf, ISSUER_V2, "utf8");
  if (old !== undefined && current !== undefined && old !== current) {
    refuse("its certificate names two issuers");
  }
  return current ?? old ?? refuse("its certificate names no issuer");
}

function refuse(reason: string): never {
  throw new SignatureRejection("malformed", reason);
}
