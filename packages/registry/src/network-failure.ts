import { hasErrorCode } from "@stowage/content";

import { RegistryError, type RegistryErrorCode } from "./registry-error.ts";
import { redactUrl } from "./redact.ts";
import type { TransportRequest } from "./transport.ts";

const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const NOT_HTTP: ReadonlySet<string> = new Set([
  // What nghttp2 will not read on: frames that are none, or more of them than make sense.
  "ERR_HTTP2_ERROR",
  "ERR_HTTP2_TOO_MANY_INVALID_FRAMES",
  "UND_ERR_HEADERS_OVERFLOW",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
]);

/** Raised by a lookup that came upon an address where a stranger may not send us. */
export const PRIVATE_ADDRESS_CODE = "ERR_STOWAGE_PRIVATE_ADDRESS";

/** What a failed exchange means, as an error of ours. */
export function networkError(error: unknown, request: TransportRequest): RegistryError {
  if (error instanceof RegistryError) return error;
  const code = codeOf(error);
  const url = redactUrl(request.url);
  const known = { method: request.method, url, cause: causeOf(error, code) };
  const [ours, what, hint] = explain(code, request);
  return new RegistryError(ours, `${request.method} ${url}: ${what}`, { ...known, hint });
}

/** Whether a failed exchange may succeed if it is tried again at once. */
export function isPassing(error: unknown): boolean {
  if (!hasErrorCode(error, "ERR_REGISTRY_UNAVAILABLE")) return false;
  return !hasErrorCode(error.cause, "ENOTFOUND");
}

type Explanation = readonly [code: RegistryErrorCode, what: string, hint?: string];

function explain(code: string, request: TransportRequest): Explanation {
  const host = request.url.host;
  if (code === PRIVATE_ADDRESS_CODE) {
    const { namedBy, namedFor = "tokens" } = request;
    return [
      namedFor === "tokens" ? "ERR_REGISTRY_REALM_REFUSED" : "ERR_REGISTRY_REDIRECT_REFUSED",
      `${namedBy} named a host at a private address for its ${namedFor}`,
      "Ask who runs the registry; a public registry has no business with your private network.",
    ];
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return [
      "ERR_REGISTRY_TLS",
      `the certificate is not valid now (${code})`,
      "Check this machine's clock; if that is right, the registry's owner must renew it.",
    ];
  }
  if (CERTIFICATE_CODES.has(code)) {
    return [
      "ERR_REGISTRY_TLS",
      `the certificate is not trusted (${code})`,
      `If you know this registry, put its CA into a directory as *.crt and name it with --cert-dir, or install it as /etc/containers/certs.d/${host}/ca.crt; --tls-verify=false trusts anyone.`,
    ];
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return [
      "ERR_REGISTRY_TLS",
      "the certificate is for another host name",
      "Use the name that the certificate is for, or have the certificate made for this one.",
    ];
  }
  if (/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/u.test(code)) {
    return [
      "ERR_REGISTRY_TLS",
      "the server does not speak TLS here",
      "If the registry serves plain HTTP on purpose, allow it with --tls-verify=false.",
    ];
  }
  if (code === "EPROTO" || /^ERR_(?:SSL|TLS|OSSL)_/u.test(code)) {
    return [
      "ERR_REGISTRY_TLS",
      `TLS failed (${code})`,
      `If the registry wants a client certificate, put it as *.cert and *.key into a directory and name that with --cert-dir, or use /etc/containers/certs.d/${host}/.`,
    ];
  }
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    return ["ERR_REGISTRY_STALLED", "no answer in time"];
  }
  if (code.startsWith("HPE_") || NOT_HTTP.has(code)) {
    return ["ERR_REGISTRY_PROTOCOL", `not a valid HTTP answer (${code})`];
  }
  if (code === "ENOTFOUND") {
    return [
      "ERR_REGISTRY_UNAVAILABLE",
      "no such host",
      "Check the registry's name, and the network's name server.",
    ];
  }
  if (code === "ECONNREFUSED") {
    return [
      "ERR_REGISTRY_UNAVAILABLE",
      "nothing listens there",
      "Check host and port, and that the registry runs.",
    ];
  }
  return [
    "ERR_REGISTRY_UNAVAILABLE",
    code === "" ? "the connection failed" : `the connection failed (${code})`,
  ];
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  // Happy eyeballs wraps what each address said.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  // OpenSSL's own reason is in the message, or in `reason`, of a bare EPROTO.
  const message = "message" in error && typeof error.message === "string" ? error.message : "";
  if (code === "EPROTO" && /wrong version number|packet length too long/iu.test(message)) {
    return "ERR_SSL_WRONG_VERSION_NUMBER";
  }
  if (code === "" && "name" in error && error.name === "HTTPParserError") return "HPE_INVALID";
  // An interim answer that nobody asked for: 100, or 101 to another protocol.
  if (code === "UND_ERR_SOCKET" && /^bad (?:response|upgrade)$/u.test(message)) {
    return "HPE_UNEXPECTED_ANSWER";
  }
  return code;
}

/** The library's error may hold the bytes that it read; message and code are all that is kept. */
function causeOf(error: unknown, code: string): Error {
  const text = error instanceof Error && error.message !== "" ? error.message : code;
  // OpenSSL's own words are about its source code, but for the reason, which is the sixth field.
  const message = /^[0-9A-F]+:error:(?:[^:]*:){3}([^:]+):/u.exec(text)?.[1] ?? text;
  const cause: Error & { code?: string } = new Error(message.split("\n", 1)[0]?.slice(0, 256));
  delete cause.stack;
  if (code !== "") cause.code = code;
  return cause;
}
