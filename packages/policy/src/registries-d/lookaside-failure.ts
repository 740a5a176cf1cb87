import { errorKind, type ErrorKind, escapeText, hasErrorCode } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";

/** What a lookaside failed at. */
export interface FailedLookaside {
  /** As people may read it: without a user, and what is behind a question mark. */
  readonly location: string;
  /** File, line and key that name it. */
  readonly statedIn?: string | undefined;
  readonly cause?: unknown;
}

/** A place that neither has a signature nor says that it has none. */
export function unavailable(
  problem: string,
  { location, statedIn, cause }: FailedLookaside,
  hint = "Only a place that says that it has nothing (404, or no such file) has nothing.",
): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    `the lookaside ${escapeText(location, 2000)}: ${problem}, so that nobody knows whether the image is signed`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: `${namedIn(statedIn)}${hint}`,
    },
  );
}

/** Something that stands where a signature should. */
export function noSignature(
  problem: string,
  { location, statedIn, cause }: FailedLookaside,
): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURE_INVALID",
    `the lookaside ${escapeText(location, 2000)} ${problem}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: `${namedIn(statedIn)}A lookaside gives out the bare files of signatures, and says 404 where there is none.`,
    },
  );
}

/** What stands there is no signature: the error, with the line that names the place. */
export function withPlace(error: unknown, statedIn: string | undefined): unknown {
  if (statedIn === undefined || !hasErrorCode(error, "ERR_POLICY_SIGNATURE_INVALID")) return error;
  const { hint = "" } = error as Error & { readonly hint?: string };
  return new PolicyError(error.code, error.message, {
    cause: error.cause,
    hint: `${namedIn(statedIn)}${hint}`,
  });
}

/** Whether a body is a page for people, as servers show for whatever they do not know. */
export function isWebPage(bytes: Uint8Array): boolean {
  const begin = Buffer.from(bytes.subarray(0, 512)).toString("latin1");
  return /^(?:\xef\xbb\xbf)?\s*<(?:!doctype|!--|html|head|body|\?xml)/i.test(begin);
}

/** What a failed exchange with a lookaside means; whatever else failed comes back as it is. */
export function exchangeFailed(error: unknown, url: URL, failed: FailedLookaside): unknown {
  const kind = errorKind(error);
  if (kind === undefined || !NETWORK.has(kind)) return error;
  const { message } = error as Error;
  // A proxy's failure says so itself; of the lookaside, what was asked is said already.
  const problem = message.replace(/^GET \S+: /, "");
  return unavailable(problem, { ...failed, cause: error }, adviceFor(error, url));
}

const NETWORK: ReadonlySet<ErrorKind> = new Set([
  "PullStalled",
  "RedirectRefused",
  "RegistryProtocol",
  "RegistryUnavailable",
  "TlsFailed",
]);

function adviceFor(error: unknown, { host }: URL): string {
  const { cause, hint, message } = error as Error & { readonly hint?: string };
  const { code = "" } = (cause ?? {}) as { readonly code?: string };
  if (message.startsWith("the proxy ") && hint !== undefined) return hint;
  if (/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code))
    return "If it serves plain HTTP on purpose, write http: in place of https: there.";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "Look at this machine's clock; if that is right, whoever runs it must renew the certificate.";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return "Write the name there that its certificate is for.";
  if (errorKind(error) === "TlsFailed")
    return `If you know who runs it, install its CA as /etc/containers/certs.d/${escapeText(host)}/ca.crt, or name a directory that has it as *.crt with --cert-dir.`;
  return "Look whether it runs, and at its name and port there.";
}

function namedIn(statedIn: string | undefined): string {
  return statedIn === undefined ? "" : `It is named in ${escapeText(statedIn)}. `;
}
