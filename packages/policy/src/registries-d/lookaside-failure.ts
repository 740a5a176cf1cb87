import { errorKind, type ErrorKind, escapeText, hasErrorCode } from "@stowage/content";

import { PolicyError } from "../policy-error.ts";

/** What a lookaside failed at. */
export interface FailedLookaside {
  /** As people may read it: without a user, and what is behind a question mark. */
  readonly location: string;
  /** File, line and key that name it. */
  readonly statedIn?: string | undefined;
  /** Where it sent on whoever asked, likewise; that is where it failed then. */
  readonly redirected?: string | undefined;
  readonly cause?: unknown;
}

/** A place that neither has a signature nor says that it has none. */
export function unavailable(
  problem: string,
  failed: FailedLookaside,
  hint = "Only a place that says that it has nothing (404, or no such file) has nothing.",
): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURES_UNAVAILABLE",
    `the lookaside ${showFailed(failed)}: ${problem}, so that nobody knows whether the image is signed`,
    {
      ...(failed.cause === undefined ? {} : { cause: failed.cause }),
      hint: `${namedIn(failed.statedIn)}${hint}`,
    },
  );
}

/** Something that stands where a signature should. */
export function noSignature(problem: string, failed: FailedLookaside): PolicyError {
  return new PolicyError(
    "ERR_POLICY_SIGNATURE_INVALID",
    `the lookaside ${showFailed(failed)}${isRedirected(failed) ? "," : ""} ${problem}`,
    {
      ...(failed.cause === undefined ? {} : { cause: failed.cause }),
      hint: `${namedIn(failed.statedIn)}A lookaside gives out the bare files of signatures, and says 404 where there is none.`,
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
  return unavailable(problem, { ...failed, cause: error }, adviceFor(error, url, failed));
}

/** An answer that is neither a signature nor says that there is none. */
export function statusFailed(
  status: number,
  body: Uint8Array,
  url: URL,
  failed: FailedLookaside,
): PolicyError {
  const begin = Buffer.from(body.subarray(0, 1024)).toString("latin1");
  if (status === 400 && url.protocol === "http:" && /\bHTTPS (?:port|server)\b/i.test(begin)) {
    const hint = isRedirected(failed)
      ? mendRedirect(failed)
      : "Write https: in place of http: there.";
    return unavailable("the server speaks TLS here, and was asked without", failed, hint);
  }
  return unavailable(`the server says ${status}`, failed, adviceForStatus(status));
}

function adviceForStatus(status: number): string {
  if (status === 401 || status === 407)
    return "It wants a login, and none can be given to a lookaside: have its files given out without.";
  if (status === 403)
    return "Look whether the folder there is right, and whether its server may read the files and give them out to everybody. It has to say 404 where there is none.";
  if (status === 429 || status >= 500)
    return "Try again later. If it stays so, ask whoever runs it: the mistake is there.";
  if (status >= 300 && status < 400)
    return "It sends on whoever asks, too often, or from https: to where nobody follows: name the place itself.";
  return "It has to give out the files of signatures with 200, and to say 404 where there is none.";
}

const NETWORK: ReadonlySet<ErrorKind> = new Set([
  "PullStalled",
  "RedirectRefused",
  "RegistryProtocol",
  "RegistryUnavailable",
  "TlsFailed",
]);

function isRedirected({ redirected }: FailedLookaside): boolean {
  return redirected !== undefined;
}

function mendRedirect({ redirected = "" }: FailedLookaside): string {
  return `Have the lookaside redirect to somewhere else than ${escapeText(redirected, 2000)}, or name the right place itself.`;
}

function adviceFor(error: unknown, { host, protocol }: URL, failed: FailedLookaside): string {
  const { cause, hint, message } = error as Error & { readonly hint?: string };
  const { code = "" } = (cause ?? {}) as { readonly code?: string };
  if (message.startsWith("the proxy ") && hint !== undefined) return hint;
  if (/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code))
    return isRedirected(failed)
      ? mendRedirect(failed)
      : "If it serves plain HTTP on purpose, write http: in place of https: there.";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "Look at this machine's clock; if that is right, whoever runs it must renew the certificate.";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return isRedirected(failed)
      ? mendRedirect(failed)
      : "Write the name there that its certificate is for.";
  if (errorKind(error) === "TlsFailed")
    return `If you know who runs it, install its CA as /etc/containers/certs.d/${escapeText(host)}/ca.crt, or name a directory that has it as *.crt with --cert-dir.`;
  const isClosed = protocol === "http:" && !["ECONNREFUSED", "ENOTFOUND"].includes(code);
  const secure = isClosed ? " If it speaks TLS, write https: in place of http:." : "";
  return isRedirected(failed)
    ? `Look whether ${escapeText(host)} runs. ${mendRedirect(failed)}`
    : `Look whether it runs, and at its name and port there.${secure}`;
}

function showFailed({ location, redirected }: FailedLookaside): string {
  const on = redirected === undefined ? "" : `, which redirects to ${escapeText(redirected, 2000)}`;
  return `${escapeText(location, 2000)}${on}`;
}

function namedIn(statedIn: string | undefined): string {
  return statedIn === undefined ? "" : `It is named in ${escapeText(statedIn)}. `;
}
