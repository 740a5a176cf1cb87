import type { Bundle } from "@sigstore/bundle";
import { escapeText } from "@stowage/content";

import { SignatureRejection } from "../signature/signature-rejection.ts";

/** What the sigstore verifier says, for whoever has to mend it. */
export function bundleFailure(cause: unknown, bundle: Bundle): SignatureRejection {
  const { code, message } = detailsOf(cause);
  const { tlogEntries } = bundle.verificationMaterial;
  // A time is asked for first, which most bundles have from their log.
  if (tlogEntries.length === 0 && (code === "TIMESTAMP_ERROR" || code === "TLOG_ERROR")) {
    return new SignatureRejection("untrusted", "it has no entry of a transparency log", {
      cause,
      remedy:
        "Have the image signed with a log, as cosign sign does unless told otherwise. Of a requirement with keys, trustedRootPath or trustedRootData asks for it.",
    });
  }
  const reject = (reason: string, remedy: string): SignatureRejection =>
    new SignatureRejection("malformed", `${reason} (${escapeText(message, 200)})`, {
      cause,
      remedy,
    });
  switch (code) {
    case "SIGNATURE_ERROR":
      return reject("its signature is not by its signer over its payload", SIGN_AGAIN);
    case "TLOG_BODY_ERROR":
      return reject("its log entry is about another payload or signature", SIGN_AGAIN);
    case "TIMESTAMP_ERROR":
      return reject(
        "nothing that the trusted root knows tells when it was signed",
        `A promise of the log or a timestamp by an authority of the trusted root does. ${OTHER_ROOT}`,
      );
    case "TLOG_ERROR":
    case "TLOG_INCLUSION_PROMISE_ERROR":
    case "TLOG_INCLUSION_PROOF_ERROR":
    case "TLOG_MISSING_INCLUSION_ERROR":
      return reject("no log of the trusted root vouches for its entry", OTHER_ROOT);
    case "CERTIFICATE_ERROR":
      return reject(
        "the authorities and logs of the trusted root do not vouch for its certificate",
        OTHER_ROOT,
      );
    default:
      return new SignatureRejection("malformed", `it does not hold (${escapeText(message, 280)})`, {
        cause,
      });
  }
}

const SIGN_AGAIN = "Fetch the bundle again, or have the image signed again: it was changed since.";
const OTHER_ROOT =
  "If it was signed with another sigstore instance, give the requirement that one's trusted root.";

function detailsOf(cause: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  return { code: `${code}`, message: typeof message === "string" ? message : `${cause}` };
}
